"""Making a backup of a lab that goes on working.

The order is what makes the parts fit together:

1. A mark among those who are present: from then on the document stores free no bytes.
2. The places of the queues, before the log: what was acknowledged has its end in the log that follows.
3. The projections' snapshots, before the log, so that none is ahead of it.
4. The log, up to the sequence that it had when its snapshot began.
5. The artifacts, after the log: bytes go in before the event that names them, so whatever the log names is there.
6. The records of the store that moved during 5.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from nats.errors import Error as NatsError
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from benchwire.deploy.backup import container, protocol, queues, records
from benchwire.deploy.backup.container import Draft, Manifest, Member, Stream
from benchwire.deploy.backup.errors import NotDone
from benchwire.events import streams
from benchwire.events.bus import RESTORING, STREAM, Bus, connected
from benchwire.events.presence import BACKUP, Presence, Present
from benchwire.events.service import version_of
from benchwire.events.settings import NatsSettings
from benchwire.events.snapshots.record import BUCKET as SNAPSHOTS

# What is done now, how many bytes of how many. The total is a guess: a snapshot is compressed.
Tell = Callable[[str, int, int], None]

_FREES_S = 1.0  # whoever saw no mark a moment ago has freed by then, and what it freed no event in the log needs


async def made(settings: NatsSettings, path: Path, tell: Tell) -> Manifest:
    """Backs up the lab behind ``settings`` into the file ``path``. Raises ``NotDone``, and ``NatsUnreachable``."""
    async with AsyncExitStack() as stack:
        draft = stack.enter_context(container.drafted(path))  # first: a file that cannot be written is known at once
        bus = await stack.enter_async_context(connected(settings, name="backup", ensured=False))
        server = protocol.check_server(bus)
        there = await _there(bus)
        await _marked(bus, stack)
        begun = await _last_sequence(bus)
        places = await queues.read(bus)
        snapshots = await _stream(bus, SNAPSHOTS, draft, tell) if SNAPSHOTS in there else None
        log = await _stream(bus, STREAM, draft, tell)
        artifacts = await _stream(bus, records.STREAM, draft, tell)
        late = await records.written_after(bus, begun, artifacts.head.last_sequence)
        manifest = Manifest(
            made_at=datetime.now(UTC),
            lab=protocol.name_of(bus),
            benchwire=version_of("benchwire"),
            nats_server=server,
            origin=streams.origin_of(there[STREAM]),
            lost_its_beginning=log.head.state["first_seq"] > 1 and streams.is_limited(there[STREAM], datetime.now(UTC)),
            log=log,
            artifacts=artifacts,
            snapshots=snapshots,
            late_records=await _member(draft, container.RECORDS, late),
            queues=places,
        )
        await asyncio.to_thread(draft.finish, manifest)
        return manifest


async def _there(bus: Bus) -> dict[str, StreamInfo]:
    """The streams of the lab. A lab need not have snapshots."""
    found = {}
    for stream in (STREAM, records.STREAM, SNAPSHOTS):
        try:
            found[stream] = await bus.js.stream_info(stream)
        except NotFoundError:
            continue
        except (NatsError, OSError, TimeoutError) as error:
            raise NotDone(f"NATS does not answer: {error}") from error
    if any(RESTORING in (info.config.metadata or {}) for info in found.values()):
        raise NotDone("this lab is being restored, or that broke off; `benchwire restore` first")
    if absent := {STREAM, records.STREAM} - found.keys():
        raise NotDone(f"there is no lab behind this NATS server: it has no {', '.join(sorted(absent))}")
    return found


async def _marked(bus: Bus, stack: AsyncExitStack) -> None:
    presence, (service, name) = Presence(bus), BACKUP
    try:
        if await presence.is_there(service, name):
            raise NotDone("another backup of this lab is under way")
        present = Present(service=service, name=name, version=version_of("benchwire"), pid=os.getpid())
        await stack.enter_async_context(presence.announced(present))
    except (NatsError, OSError, TimeoutError) as error:
        raise NotDone(f"nobody can be told that a backup begins: {error}") from error
    await asyncio.sleep(_FREES_S)


async def _last_sequence(bus: Bus) -> int:
    try:
        return int((await bus.js.stream_info(records.STREAM)).state.last_seq)
    except (NatsError, OSError, TimeoutError) as error:
        raise NotDone(f"NATS does not answer: {error}") from error


async def _stream(bus: Bus, stream: str, draft: Draft, tell: Tell) -> Stream:
    async with protocol.snapshot(bus, stream) as (head, chunks):
        return Stream(head, await _written(draft, stream, chunks, lambda done: tell(stream, done, head.stored_bytes)))


async def _written(draft: Draft, name: str, chunks: AsyncIterator[bytes], tell: Callable[[int], None]) -> Member:
    done = 0
    draft.begin(name)
    async for chunk in chunks:
        await asyncio.to_thread(draft.write, chunk)
        done += len(chunk)
        tell(done)
    return await asyncio.to_thread(draft.end)


async def _member(draft: Draft, name: str, data: bytes) -> Member:
    draft.begin(name)
    await asyncio.to_thread(draft.write, data)
    return await asyncio.to_thread(draft.end)
