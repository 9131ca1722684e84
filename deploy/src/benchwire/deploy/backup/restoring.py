"""Bringing a backup back, into a lab in which nothing has happened yet.

The log is made first and carries a mark until all is there: no service begins on a part of a lab, and a restore that was broken off, even
together with its server, is known by the mark, and made anew by the next one. Whatever fails takes back what it made.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from benchwire.deploy.backup import container, protocol, queues, records
from benchwire.deploy.backup.container import Backup, Manifest, Member, Stream
from benchwire.deploy.backup.errors import NotDone
from benchwire.deploy.backup.making import Tell
from benchwire.deploy.backup.protocol import Head
from benchwire.events.bus import RESTORING, STREAM, Bus, connected
from benchwire.events.presence import Presence
from benchwire.events.settings import NatsSettings
from benchwire.events.snapshots.record import BUCKET as SNAPSHOTS
from benchwire.events.streams import LIMITED, ORIGINS

_ALL = (STREAM, SNAPSHOTS, records.STREAM)
_BACK_S = 15.0  # for how long a server that went away in the middle is waited for, to clear up
_UNREACHABLE = (NatsError, OSError, TimeoutError)


class Restored(msgspec.Struct, frozen=True):
    """What came back. ``incomplete`` counts artifacts that had lost bytes before they were backed up."""

    manifest: Manifest
    incomplete: int


async def restored(settings: NatsSettings, path: Path, tell: Tell) -> Restored:
    """Restores the backup ``path`` into the lab behind ``settings``. Raises ``NotDone``, ``NatsUnreachable`` and ``OSError``."""
    with container.opened(path) as backup:
        await _check(backup, tell)
        async with connected(settings, name="restore", ensured=False) as bus:
            protocol.check_server(bus)
            await _check_room(bus, backup.manifest, settings.nats_replicas)
            await _check_quiet(bus)
            await _emptied(bus)
            async with _all_or_nothing(bus):
                return Restored(backup.manifest, await _filled(bus, backup, settings.nats_replicas, tell))


async def _check(backup: Backup, tell: Tell) -> None:
    """Reads all of the file: nothing is begun with one that is damaged."""
    _check_names(backup.manifest)
    total = sum(member.size_bytes for member in backup.manifest.members)
    done = 0
    for member in backup.manifest.members:
        sizes = backup.checked(member)
        while size := await asyncio.to_thread(next, sizes, 0):
            done += size
            tell("checking", done, total)


def _check_names(manifest: Manifest) -> None:
    """A restore makes the streams of a lab, and whatever the file says, no others."""
    for stream, name in ((manifest.log, STREAM), (manifest.artifacts, records.STREAM), (manifest.snapshots, SNAPSHOTS)):
        if stream is not None and {stream.member.name, stream.head.config.get("name")} != {name}:
            raise NotDone(f"this is not a backup of a lab: it has {stream.member.name} in the place of {name}")


async def _check_room(bus: Bus, manifest: Manifest, replicas: int) -> None:
    """The server's own limit is its to check; this is the account's."""
    try:
        account = await bus.js.account_info()
    except _UNREACHABLE as error:
        raise NotDone(f"NATS runs without JetStream, or does not answer: {error}") from error
    needed = replicas * sum(one.head.stored_bytes for one in manifest.streams)
    limit = account.limits.max_storage
    if limit >= 0 and account.storage + needed > limit:
        raise NotDone(
            f"the lab may store {_mib(limit)} and has {_mib(account.storage)}; the backup needs {_mib(needed)}"
        )


async def _check_quiet(bus: Bus) -> None:
    """Nobody works in the lab: what a service wrote meanwhile would have the places of what is restored."""
    try:
        there = [one for one in await Presence(bus).everyone() if one.service != "backup"]
    except NotFoundError:
        return  # no service was ever here
    except _UNREACHABLE as error:
        raise NotDone(f"NATS does not answer: {error}") from error
    if there:
        names = ", ".join(sorted({one.service for one in there}))
        raise NotDone(f"services run in this lab ({names}); stop them first")


async def _emptied(bus: Bus) -> None:
    """Removes streams in which nothing ever was, and those of a restore that broke off. Raises ``NotDone`` when there is a lab."""
    found = {stream: info for stream in _ALL if (info := await _info(bus, stream)) is not None}
    broke_off = STREAM in found and _is_marked(found[STREAM])
    for stream, info in found.items():
        if info.state.last_seq and not broke_off:
            raise NotDone(
                f"this lab is not empty: {stream} goes up to {info.state.last_seq}; a backup is restored into an empty lab"
            )
    for stream in reversed(found):  # the log last: its mark says that there is something to remove
        await _removed(bus, stream)


async def _filled(bus: Bus, backup: Backup, replicas: int, tell: Tell) -> int:
    """All of it, in an order in which no service begins before the end; how many artifacts are not whole."""
    manifest = backup.manifest
    for one in manifest.streams:
        await _stream(bus, backup, one, replicas, tell)
    await records.put_back(bus, b"".join(backup.pieces(manifest.late_records)))
    incomplete = await records.incomplete(bus)
    await queues.put_back(bus, manifest.queues)
    for one in reversed(manifest.streams):
        await protocol.asked(bus, f"STREAM.UPDATE.{one.member.name}", _config(manifest, one, replicas))
    return incomplete


def _config(manifest: Manifest, stream: Stream, replicas: int, **mark: str) -> dict[str, Any]:
    """How the stream was configured, on as many servers as this lab has. The log knows from which one it goes on."""
    config = stream.head.config
    metadata = {key: value for key, value in (config.get("metadata") or {}).items() if not key.startswith("_nats.")}
    if stream is manifest.log:
        metadata[ORIGINS] = msgspec.json.encode(manifest.origin.restored(stream.head.last_sequence)).decode()
        if manifest.lost_its_beginning:  # its age would say that it cannot have lost anything yet
            metadata[LIMITED] = "yes"
    return {**config, "num_replicas": replicas, "metadata": metadata | mark}


async def _stream(bus: Bus, backup: Backup, stream: Stream, replicas: int, tell: Tell) -> None:
    name, last = stream.member.name, stream.head.last_sequence
    marked = Head(_config(backup.manifest, stream, replicas, **{RESTORING: "yes"}), stream.head.state)
    await protocol.restore(bus, marked, _pieces(backup, stream.member, tell))
    info = await _info(bus, name)
    if info is None or info.state.last_seq != last:
        raise NotDone(f"{name} did not come back whole: it should go up to {last}")


async def _pieces(backup: Backup, member: Member, tell: Tell) -> AsyncIterator[bytes]:
    pieces: Iterator[bytes] = backup.pieces(member)
    done = 0
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
        done += len(piece)
        tell(member.name, done, member.size_bytes)


@contextlib.asynccontextmanager
async def _all_or_nothing(bus: Bus) -> AsyncGenerator[None, None]:
    """Removes what has the mark when what is in the context did not come to its end."""
    try:
        yield
    except BaseException as error:
        back = asyncio.Event()
        try:
            with bus.on_reconnect(back.set):
                async with asyncio.timeout(_BACK_S):
                    if not bus.connected:
                        await back.wait()
                    for stream in reversed(_ALL):
                        info = await _info(bus, stream)
                        if info is not None and _is_marked(info):
                            await _removed(bus, stream)
        except (NotDone, *_UNREACHABLE):
            left = "NATS is away, so what was restored could not be removed; it is marked, and the next `benchwire restore` removes it"
            raise NotDone(f"{error or 'broken off'}; {left}") from error
        raise


def _is_marked(info: StreamInfo) -> bool:
    return RESTORING in (info.config.metadata or {})


async def _info(bus: Bus, stream: str) -> StreamInfo | None:
    try:
        return await bus.js.stream_info(stream)
    except NotFoundError:
        return None
    except _UNREACHABLE as error:
        raise NotDone(f"NATS does not answer: {error}") from error


async def _removed(bus: Bus, stream: str) -> None:
    try:
        await bus.js.delete_stream(stream)
    except NotFoundError:
        return
    except _UNREACHABLE as error:
        raise NotDone(f"{stream} could not be removed: {error}") from error


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB"
