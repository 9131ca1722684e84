"""The configuration of a NATS server, as text: accounts, users with what each may do, JetStream, cluster, leaf nodes, TLS. Pure.

Servers that keep the log know all users of the lab. A leaf node knows those of its own host, and is itself a user of the others that may do what the
parts of its host may: a host that was taken over cannot say more through its leaf node than its parts could.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from benchwire.events.permissions import ANSWER_WITHIN_S, Permissions
from benchwire.events.settings import Secret

ACCOUNT = "LAB"
SYSTEM = "SYS"
DOMAIN = "lab"  # of JetStream; a leaf node is told to which one it hands on what it is asked
ROUTE_USER = "route"
_API = "$JS.API."
_BUCKET = "$KV."
_LOG_BYTES = "10MB"
_LOGS_KEPT = 5
_PINGS = 'ping_interval: "2s"'


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user by its public key; ``what`` it is stands beside it, for whoever reads the file or a line of the server's log."""

    key: str
    what: str
    permissions: Permissions


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server's certificate, its key and the authority are, on its host."""

    certificate: str
    key: str
    authority: str


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What all servers have. ``listen`` and ``monitor`` are ``address:port``; without ``log`` it writes to stderr.

    ``ports`` is the folder where it writes down its number and where it listens, for who looks after it (see ``events.nats_health``).
    """

    name: str
    listen: str
    users: Sequence[User]
    system_key: str
    tls: Tls | None = None
    monitor: str = ""
    log: str = ""
    ports: str = ""


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A server among several: ``routes`` are the addresses of all of them, and only they know ``password``."""

    name: str
    listen: str
    routes: Sequence[str]
    password: Secret


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """The other end of a leaf node: the ``urls`` of the servers, and the ``seed`` of its key, which a server takes from no other file."""

    urls: Sequence[str]
    seed: Secret


def keeping(server: Server, *, store: str, leaf_listen: str = "", cluster: Cluster | None = None) -> str:
    """The configuration of a server that keeps the log in ``store``."""
    blocks = [
        *_head(server),
        f"jetstream {{ store_dir: {_text(store)}, domain: {DOMAIN} }}",
        *([_cluster(cluster, server.tls)] if cluster else []),
        *([f"leafnodes {{\n  listen: {_text(leaf_listen)}\n{_tls(server.tls, '  ')}}}"] if leaf_listen else []),
        *_accounts(server, "jetstream: enabled"),
    ]
    return "\n".join(blocks) + "\n"


def leaf(server: Server, hub: Hub) -> str:
    """The configuration of a leaf node, which keeps nothing."""
    remote = [
        f"    urls: [{', '.join(_text(url) for url in hub.urls)}]",
        f"    account: {ACCOUNT}",
        f"    nkey: {_text(hub.seed)}",
        _tls(server.tls, "    ", verify=False).rstrip("\n"),
    ]
    body = "\n".join(line for line in remote if line)
    blocks = [
        *_head(server),
        # A server without JetStream hands on no $JS.API of its own accord.
        f"default_js_domain: {{ {ACCOUNT}: {DOMAIN} }}",
        f'leafnodes {{\n  reconnect: "1s"\n  remotes: [{{\n{body}\n  }}]\n}}',
        *_accounts(server, ""),
    ]
    return "\n".join(blocks) + "\n"


def of_leaf(permissions: Permissions) -> Permissions:
    """The same at a leaf node, for its own user and those behind it: there JetStream's API has the domain in its name."""

    def there(subjects: Iterable[str]) -> tuple[str, ...]:
        return tuple(_in_domain(one) for one in subjects)

    return msgspec.structs.replace(
        permissions, publish=there(permissions.publish), withheld=there(permissions.withheld)
    )


def _in_domain(subject: str) -> str:
    """How a subject is called behind a leaf node; what is put into key-value buckets goes the way of the API, too."""
    if subject.startswith(_API):
        return subject.replace(_API, f"$JS.{DOMAIN}.API.", 1)
    return f"$JS.{DOMAIN}.API.{subject}" if subject.startswith(_BUCKET) else subject


def _head(server: Server) -> list[str]:
    lines = [f"server_name: {_text(server.name)}", f"listen: {_text(server.listen)}"]
    if server.monitor:
        lines.append(f"http: {_text(server.monitor)}")
    if server.ports:
        lines.append(f"ports_file_dir: {_text(server.ports)}")
    if server.log:
        lines += [
            f"log_file: {_text(server.log)}",
            f"logfile_size_limit: {_LOG_BYTES}",
            f"logfile_max_num: {_LOGS_KEPT}",
        ]
    # A cable that was pulled says nothing: what is not heard of for two pings is gone.
    lines += [_PINGS, "ping_max: 2"]
    return [*lines, *([_tls(server.tls, "").rstrip("\n")] if server.tls else [])]


def _tls(tls: Tls | None, indent: str, *, verify: bool = True) -> str:
    if tls is None:
        return ""
    inside = [
        f"cert_file: {_text(tls.certificate)}",
        f"key_file: {_text(tls.key)}",
        f"ca_file: {_text(tls.authority)}",
        *(["verify: true"] if verify else []),
        "timeout: 10",
    ]
    return f"{indent}tls {{\n" + "".join(f"{indent}  {line}\n" for line in inside) + f"{indent}}}\n"


def _cluster(cluster: Cluster, tls: Tls | None) -> str:
    routes = ", ".join(_text(url.replace("://", f"://{ROUTE_USER}:{cluster.password}@", 1)) for url in cluster.routes)
    return "\n".join(
        [
            "cluster {",
            f"  name: {_text(cluster.name)}",
            f"  listen: {_text(cluster.listen)}",
            f"  authorization {{ user: {ROUTE_USER}, password: {_text(cluster.password)}, timeout: 5 }}",
            f"  routes: [{routes}]",
            f"  {_PINGS}",
            # Addresses that servers tell each other would be those inside of a container or behind a translation.
            "  no_advertise: true",
            *([_tls(tls, "  ").rstrip("\n")] if tls else []),
            "}",
        ]
    )


def _accounts(server: Server, extra: str) -> list[str]:
    users = "".join(_user(one) for one in server.users)
    return [
        "accounts {",
        f"  {ACCOUNT} {{",
        *([f"    {extra}"] if extra else []),
        f"    users: [\n{users}    ]",
        "  }",
        f"  {SYSTEM} {{ users: [ {{ nkey: {server.system_key} }} ] }}",
        "}",
        f"system_account: {SYSTEM}",
    ]


def _user(user: User) -> str:
    may = user.permissions
    lines = [f"      {{ # {user.what}", f"        nkey: {user.key}"]
    if not may.free:
        lines += [
            "        permissions: {",
            *_limits("publish", {"allow": may.publish, "deny": may.withheld}),
            *_limits("subscribe", {"allow": may.subscribe}),
            *([f'          allow_responses: {{ max: 1, expires: "{ANSWER_WITHIN_S}s" }}'] if may.answers else []),
            "        }",
        ]
    return "\n".join([*lines, "      }"]) + "\n"


def _limits(what: str, subjects: Mapping[str, Sequence[str]]) -> list[str]:
    lines = [f"          {what}: {{"]
    for verb, some in subjects.items():
        if some:
            lines += [f"            {verb}: [", *(f"              {_text(one)}" for one in some), "            ]"]
    return [*lines, "          }"]


def _text(value: str) -> str:
    """A string of the configuration language, which knows the same escapes."""
    return msgspec.json.encode(str(value)).decode()
