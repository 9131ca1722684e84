"""Writes what a lab's hosts need: see the docstring of this package for which files these are."""

from pathlib import Path, PurePosixPath

import msgspec

from benchwire.deploy.hosts import environment, nats_conf
from benchwire.deploy.hosts.described import LEAF, NAME, Host, Lab, told, url
from benchwire.deploy.hosts.keys import Authority, password_in, public_of, secret_in, write_public, write_secret
from benchwire.deploy.hosts.nats_conf import Cluster, Hub, Server, Tls, User
from benchwire.events import permissions
from benchwire.events.catalog import FLASH_AGENT
from benchwire.events.permissions import ADMIN, NATS, OPERATOR

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are on a host: its folder of ``OUT/hosts`` at ``etc``, and what its parts keep in ``data``.

    ``{host}`` in a path stands for the host's name, where several hosts are on one machine.
    """

    etc: PurePosixPath = PurePosixPath("/etc/benchwire")
    data: PurePosixPath = PurePosixPath("/var/lib/benchwire")

    def on(self, host: str) -> "Places":
        """Where they are on that host."""
        etc, data = (PurePosixPath(str(one).replace("{host}", host)) for one in (self.etc, self.data))
        return Places(etc=etc, data=data)


def write(out: Path, lab: Lab, places: Places) -> None:
    """Writes everything; keys that are there stay. Raises ``OSError``."""
    out.mkdir(parents=True, exist_ok=True)
    admin = _folder(out / "admin")
    authority = Authority(admin, lab.name)
    for user in (ADMIN, OPERATOR, "system"):
        public_of(admin / "keys" / f"{user}.nk")
    authority.certify(admin / "tls", "client", f"admin of {lab.name}")
    write_public(admin / "tls" / "ca.pem", authority.certificate_file.read_bytes())
    for user in (ADMIN, OPERATOR):
        at = PurePosixPath(admin.absolute())
        write_public(admin / f"{user}.env", environment.of_person(lab, user, folder=at).encode())
    for name in lab.hosts:
        _write_host(out, lab, name, authority, places.on(name))
    for name in lab.hosts:  # when all keys are there
        _write_server(out, lab, name, places.on(name))
    write_public(out / NAME, told(lab).encode())


def left_over(out: Path, lab: Lab) -> list[str]:
    """Hosts that have a folder and are in the lab no more: no server lets their users in."""
    there = {one.name for one in (out / "hosts").iterdir()} if (out / "hosts").is_dir() else set[str]()
    return sorted(there - set(lab.hosts))


def _write_host(out: Path, lab: Lab, name: str, authority: Authority, places: Places) -> None:
    host, folder = lab.hosts[name], _folder(out / "hosts" / name)
    write_public(folder / "tls" / "ca.pem", authority.certificate_file.read_bytes())
    authority.certify(folder / "tls", "client", name)
    if host.has_server:
        authority.certify(folder / "tls", "server", name, {host.address, name, *_LOOPBACK})
    for part in _users_of(host):
        public_of(_seed(out, name, part))
        if part != LEAF:
            body = environment.of_part(lab, name, part, etc=places.etc, data=places.data)
            write_public(folder / f"{part}.env", body.encode())


def _write_server(out: Path, lab: Lab, name: str, places: Places) -> None:
    host, file = lab.hosts[name], out / "hosts" / name / "nats-server.conf"
    if NATS in host.parts:
        write_secret(file, _keeping(out, lab, name, places).encode())
    elif LEAF in host.parts:
        write_secret(file, _leaf(out, lab, name, places).encode())


def _keeping(out: Path, lab: Lab, name: str, places: Places) -> str:
    """A server among those that keep the log knows everybody but those behind leaf nodes."""
    admin, host = out / "admin", lab.hosts[name]
    users = [_person(admin, lab, ADMIN), _person(admin, lab, OPERATOR)]
    for other, one in lab.hosts.items():
        users += [_leaf_user(out, lab, other)] if LEAF in one.parts else _users(out, lab, other)
    address = host.listen or host.address
    cluster = None
    if len(lab.servers) > 1:
        cluster = Cluster(
            name=lab.name,
            listen=_listen(address, lab.cluster_port),
            routes=lab.urls("tls", lab.cluster_port),
            password=password_in(admin / "keys" / "routes.password"),
        )
    has_leaves = any(LEAF in one.parts for one in lab.hosts.values())
    return nats_conf.keeping(
        _server(out, lab, name, users, places, listen=_listen(address, lab.client_port)),
        store=str(places.data / "nats"),
        leaf_listen=_listen(address, lab.leaf_port) if has_leaves else "",
        cluster=cluster,
    )


def _leaf(out: Path, lab: Lab, name: str, places: Places) -> str:
    hub = Hub(urls=lab.urls("tls", lab.leaf_port), seed=secret_in(_seed(out, name, LEAF)))
    listen = f"127.0.0.1:{lab.client_port}"
    users = [
        msgspec.structs.replace(one, permissions=nats_conf.of_leaf(one.permissions)) for one in _users(out, lab, name)
    ]
    return nats_conf.leaf(_server(out, lab, name, users, places, listen=listen), hub)


def _server(out: Path, lab: Lab, name: str, users: list[User], places: Places, *, listen: str) -> Server:
    at = places.etc / "tls"
    return Server(
        name=name,
        listen=listen,
        users=users,
        system_key=public_of(out / "admin" / "keys" / "system.nk"),
        tls=Tls(certificate=str(at / "server.pem"), key=str(at / "server.key"), authority=str(at / "ca.pem")),
        monitor=f"127.0.0.1:{lab.monitor_port}" if lab.monitor_port else "",
        log=str(places.data / "nats" / "nats-server.log"),
        ports=str(places.data / "nats"),
    )


def _users(out: Path, lab: Lab, name: str) -> list[User]:
    return [
        User(
            key=public_of(_seed(out, name, part)),
            what=f"{part} on {name}",
            permissions=permissions.of(part, name, _with_boards(lab)),
        )
        for part in _users_of(lab.hosts[name])
        if part != LEAF
    ]


def _leaf_user(out: Path, lab: Lab, name: str) -> User:
    behind = [part for part in _users_of(lab.hosts[name]) if part != LEAF]
    may = permissions.all_of(behind, name, _with_boards(lab))
    return User(key=public_of(_seed(out, name, LEAF)), what=f"leaf node of {name}", permissions=nats_conf.of_leaf(may))


def _person(admin: Path, lab: Lab, user: str) -> User:
    may = permissions.of(user, lab.name, _with_boards(lab))
    return User(key=public_of(admin / "keys" / f"{user}.nk"), what=user, permissions=may)


def _users_of(host: Host) -> list[str]:
    """Who has a key on that host: its services, its server's watcher, its leaf node."""
    watcher = [NATS] if host.has_server else []
    return [*host.services, *watcher, *([LEAF] if LEAF in host.parts else [])]


def _with_boards(lab: Lab) -> list[str]:
    return [name for name, host in lab.hosts.items() if FLASH_AGENT in host.parts]


def _seed(out: Path, host: str, part: str) -> Path:
    return out / "hosts" / host / "keys" / f"{part}.nk"


def _listen(address: str, port: int) -> str:
    return url("", address, port).removeprefix("://")


def _folder(path: Path) -> Path:
    """A folder for keys, with what stands in each."""
    for one in (path, path / "keys", path / "tls"):
        one.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    (path / "keys").chmod(0o700)
    return path
