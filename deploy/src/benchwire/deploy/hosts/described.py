"""A lab as its TOML file describes it: the hosts, where others reach them, and which parts run on each."""

import re
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from benchwire.events.event import IllegalToken, token
from benchwire.events.permissions import BACKUP, NATS, SERVICES

NAME = "lab.toml"
LEAF = "leaf"
PARTS = (NATS, LEAF, *SERVICES, BACKUP)
COPIES = 3  # of everything in the log, where there are that many servers

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]

_ADDRESS = re.compile(r"[A-Za-z0-9.:_-]+")


class BadLab(ValueError):
    """The description cannot be used; the sentence says what of it."""


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine: its ``address`` for the others (a name or an IP address), and the ``parts`` that run there.

    A NATS server that keeps the log listens on ``listen``: on that address, unless told.
    """

    address: str = "127.0.0.1"
    listen: str = ""
    parts: list[str]

    @property
    def services(self) -> list[str]:
        """The parts that are clients of NATS."""
        return [part for part in self.parts if part in (*SERVICES, BACKUP)]

    @property
    def has_server(self) -> bool:
        """Whether a NATS server runs there, with a store or as a leaf node."""
        return NATS in self.parts or LEAF in self.parts


class Lab(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lab. ``hosts`` are by name, which is the ``BENCHWIRE_HOST`` of their parts. With ``monitor_port`` 0 no server has that port."""

    name: str = "lab"
    hosts: dict[str, Host]
    client_port: Port = 4222
    cluster_port: Port = 6222
    leaf_port: Port = 7422
    monitor_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8222

    @property
    def servers(self) -> dict[str, Host]:
        """The hosts that keep the log."""
        return {name: host for name, host in self.hosts.items() if NATS in host.parts}

    @property
    def replicas(self) -> int:
        """How many copies of the log there are."""
        return COPIES if len(self.servers) >= COPIES else 1

    def urls(self, scheme: str, port: int) -> list[str]:
        """The servers that keep the log, as others reach them."""
        return [url(scheme, host.address, port) for host in self.servers.values()]

    def client_urls(self, name: str) -> str:
        """Where the parts of that host find NATS: at its leaf node, or at the servers that keep the log."""
        if LEAF in self.hosts[name].parts:
            return url("tls", "127.0.0.1", self.client_port)
        return ",".join(self.urls("tls", self.client_port))


def url(scheme: str, address: str, port: int) -> str:
    """A server's address as a URL."""
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


def read(path: Path) -> Lab:
    """The lab in that file. Raises ``BadLab``."""
    try:
        text = path.read_text()
    except OSError as error:
        raise BadLab(f"{path} cannot be read: {error.strerror}") from error
    try:
        return checked(msgspec.convert(tomllib.loads(text), Lab))
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise BadLab(f"{path}: {error}") from error


def told(lab: Lab) -> str:
    """The file of a lab."""
    lines = [f'name = "{lab.name}"']
    usual = Lab(hosts={})
    ports = ("client_port", "cluster_port", "leaf_port", "monitor_port")
    lines += [f"{port} = {getattr(lab, port)}" for port in ports if getattr(lab, port) != getattr(usual, port)]
    for name, host in lab.hosts.items():
        parts = ", ".join(f'"{part}"' for part in host.parts)
        listen = [f'listen = "{host.listen}"'] if host.listen else []
        lines += ["", f'[hosts."{name}"]', f'address = "{host.address}"', *listen, f"parts = [{parts}]"]
    return "\n".join(lines) + "\n"


def host_of(text: str) -> tuple[str, Host]:
    """A host in one line: ``NAME=ADDRESS:part,part``, or ``NAME:part,part`` for one that only reaches others. Raises ``BadLab``."""
    named, separator, parts = text.rpartition(":")
    name, _, address = named.partition("=")
    if not separator or not name:
        raise BadLab(f"{text!r} is no host; write NAME=ADDRESS:part,part with parts of {', '.join(PARTS)}")
    return name, Host(address=address.strip("[]") or "127.0.0.1", parts=[part for part in parts.split(",") if part])


def checked(lab: Lab) -> Lab:
    """``lab``, if it can be. Raises ``BadLab``."""
    if not lab.servers:
        raise BadLab(f"no host has the part {NATS!r}: somebody has to keep the log")
    if len(lab.servers) == 2:
        raise BadLab("of two servers none can go on when the other is gone; have one, or three or five")
    alone = len(lab.hosts) == 1
    for name, host in {lab.name: None, **lab.hosts}.items():
        try:
            token(name, "host")
        except IllegalToken as error:
            raise BadLab(str(error)) from error
        if host is not None:
            _check(name, host, alone=alone)
    return lab


def _check(name: str, host: Host, *, alone: bool) -> None:
    if unknown := sorted(set(host.parts) - set(PARTS)):
        raise BadLab(f"{name}: there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    if NATS in host.parts and LEAF in host.parts:
        raise BadLab(f"{name}: a server that keeps the log needs no leaf node beside it")
    if BACKUP in host.parts and LEAF in host.parts:
        raise BadLab(
            f"{name}: backups are made where the servers that keep the log are reached, not behind a leaf node"
        )
    for address in (host.address, host.listen or host.address):
        if not _ADDRESS.fullmatch(address):
            raise BadLab(f"{name}: {address!r} is no address")
    if NATS in host.parts and not alone and host.address in ("127.0.0.1", "localhost", "::1"):
        raise BadLab(f"{name}: others reach its NATS server, so it needs an address that is not {host.address}")
