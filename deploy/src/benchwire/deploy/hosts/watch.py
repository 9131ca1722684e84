"""`benchwire deploy watch`: looks after a NATS server: counts what it refuses, and ends it when nothing else helps.

A part that is denied something says so itself. A client that means harm does not, and NATS tells of it in one place only: the server's log. This
follows it, says whose client it was, and announces the number under the server's host.

A server whose disk was full takes nothing more until it is started again. This ends it as soon as there is room; systemd starts the next one.
"""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from benchwire.deploy.settings import machine_name
from benchwire.events import nats_health, service
from benchwire.events.bus import connected
from benchwire.events.permissions import NATS
from benchwire.events.presence import Presence, Present
from benchwire.events.settings import NatsSettings, load

log = logging.getLogger(__name__)

_LOOK_S = 0.5
_LOOK_AT_SERVER_S = 5.0
_MOST_BYTES = 1 << 20  # at a time
_MOST_TOLD = 1000  # different ones; then they are only counted
_REFUSED = re.compile(
    r"\[ERR\] (?P<address>\S+) - [a-z_]*id:\d+ -(?: .* -)? ?"
    r"(?P<what>(?:Publish|Subscription) Violation.*|authentication error.*|.*TLS handshake error.*)"
)
_USER = re.compile(r'"[^"]*/nkey:(U[A-Z2-7]{55})"')


class Settings(NatsSettings, frozen=True, kw_only=True):
    """``data`` is where the server keeps its store and its log, ``host`` the name under which its number is told."""

    data: Path = Path("data")
    host: str = msgspec.field(default_factory=machine_name)


class Refusals:
    """What was refused so far. ``number`` counts it."""

    def __init__(self) -> None:
        self.number = 0
        self._told: set[tuple[str, str]] = set()

    def take(self, line: str) -> None:
        """A line of the server's log."""
        found = _REFUSED.search(line)
        if found is None:
            return
        self.number += 1
        user = _USER.search(line)
        who, what = user.group(1) if user else "a stranger", found["what"]
        if (who, what) not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add((who, what))
            log.warning("NATS refused %s at %s: %s", who, found["address"], what)


def watch(
    server_log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="The server's log; else nats/nats-server.log of BENCHWIRE_DATA."),
    ] = None,
) -> None:
    """Counts what the NATS server of this host refuses, tells observability, and ends a server that its full disk left stuck."""  # fmt: skip
    service.run("nats-watch", lambda: _watch(load(Settings), server_log))


async def _watch(settings: Settings, given: Path | None) -> None:
    path = given or settings.data / "nats" / "nats-server.log"
    refusals = Refusals()
    present = Present(service=NATS, name=settings.host, version=service.version_of("benchwire"), pid=os.getpid())
    async with connected(settings, name=f"nats-watch {settings.host}") as bus, asyncio.TaskGroup() as tasks:
        tasks.create_task(_counted(path, refusals))
        tasks.create_task(_looked_after(settings.data / "nats"))
        async with Presence(bus).announced(present, denied=lambda: refusals.number):
            await asyncio.Event().wait()


async def _counted(path: Path, refusals: Refusals) -> None:
    async with contextlib.aclosing(lines_of(path)) as lines:
        async for line in lines:
            refusals.take(line)


async def _looked_after(store: Path) -> None:
    while True:
        try:
            ended = await asyncio.to_thread(ended_if_stuck, store)
        except OSError as error:
            log.warning("the NATS server cannot be looked after: %s", error)
        else:
            for pid in ended:
                log.warning(
                    "the NATS server %d took nothing more since its disk was full, and is ended to be started again",
                    pid,
                )
        await asyncio.sleep(_LOOK_AT_SERVER_S)


def ended_if_stuck(store: Path) -> list[int]:
    """Ends the servers with this store that cannot get well by themselves; returns which. Raises ``OSError`` when it may not."""
    ended = []
    for pid, url in nats_health.servers_in(store):
        try:
            wrong = nats_health.ailment(url)
        except OSError:  # it is busy, frozen, or just starting
            continue
        if nats_health.ended_if_stuck(pid, wrong, store):
            ended.append(pid)
    return ended


async def lines_of(path: Path, *, look_s: float = _LOOK_S) -> AsyncGenerator[str, None]:
    """The lines that come to a file from now on, also when it is not there yet, is cut short, or is replaced by another."""
    place = await asyncio.to_thread(_end_of, path)
    rest = b""
    while True:
        place, came = await asyncio.to_thread(_read, path, place)
        *whole, rest = (rest + came).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
        if len(came) < _MOST_BYTES:
            rest = rest[-_MOST_BYTES:]
            await asyncio.sleep(look_s)


class _Place(msgspec.Struct, frozen=True):
    """How far a file was read, and which it was."""

    inode: int = 0
    offset: int = 0


def _end_of(path: Path) -> _Place:
    with contextlib.suppress(OSError):
        stat = path.stat()
        return _Place(stat.st_ino, stat.st_size)
    return _Place()


def _read(path: Path, place: _Place) -> tuple[_Place, bytes]:
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if stat.st_ino != place.inode or stat.st_size < place.offset:
                place = _Place(stat.st_ino)
            file.seek(place.offset)
            came = file.read(_MOST_BYTES)
    except OSError:  # between two files
        return place, b""
    return _Place(place.inode, place.offset + len(came)), came
