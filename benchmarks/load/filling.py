"""A log with very much in it, put there directly: quicker than any call, and the services find it when they start."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from benchmarks.apart import say
from benchmarks.load import bodies
from benchmarks.plain import documents as plain_documents
from benchmarks.plain import events as plain_events
from benchwire.events import catalog, codec
from benchwire.events.bus import STREAM, Bus, connected
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.session import SessionStarted, ToolReturned
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually

LARGE = "large"
_AT = datetime(2026, 1, 17, tzinfo=UTC)
_DAY = timedelta(days=1)
_EVERY = 2000
_TAG_NAMES = 1000
_PATIENCE_S = 600.0
_returned = msgspec.json.Decoder(ToolReturned)


async def log(url: str, *, events: int, sessions: int = 0, documents: int = 0) -> None:
    """Fills the log of the lab at ``url``: sessions that have begun, documents of which nobody has the bytes, events of fifty sessions.

    Half of the events are those of one session, ``large``.
    """
    async with connected(NatsSettings(nats_url=url), name="filling") as bus:
        await _put(bus, started(sessions), "session")
        await _put(bus, created(documents), "document")
        await _put(bus, returned(events), "event")
    say("filled")


def started(sessions: int) -> Iterator[SessionStarted]:
    """Sessions that begin, one a second."""
    for number in range(sessions):
        at = _AT - _DAY + timedelta(seconds=number)
        yield SessionStarted(
            timestamp=at, session_id=f"old{number}", session_name=f"Session {number}", agent_name=f"agent{number % 7}"
        )


def created(documents: int) -> Iterator[DocumentCreated]:
    """Documents with five tags each."""
    for number in range(documents):
        yield DocumentCreated(
            timestamp=_AT, document_id=f"doc_{number:032x}", filename=f"run-{number:06}.bin", size_bytes=1000,
            content_type="application/octet-stream", digest=f"{number:064x}", tags=tags_of(number),
        )  # fmt: skip


def tags_of(number: int) -> list[str]:
    """One that half of all have, four that few have."""
    return [f"half-{number % 2}", *(f"tag-{(number * step) % _TAG_NAMES}" for step in (7, 11, 13, 17))]


def returned(events: int) -> Iterator[ToolReturned]:
    """What tools returned, as ``POST /events`` takes it."""
    names = [LARGE if number % 2 else f"s{number}" for number in range(bodies.SESSIONS)]
    samples = [_returned.decode(bodies.event(number)) for number in range(bodies.SESSIONS)]
    for number in range(events):
        turn = number % bodies.SESSIONS
        at = _AT + timedelta(seconds=number)
        yield msgspec.structs.replace(samples[turn], timestamp=at, session_id=names[turn], session_name=names[turn])


async def _put(bus: Bus, events: Iterator[Event], kind: str) -> None:
    before = (await bus.js.stream_info(STREAM)).state.messages
    put = 0
    for put, one in enumerate(events, 1):
        headers = codec.headers(one, f"{kind}-{put}")
        await bus.nc.publish(catalog.subject_of(one), codec.encode(one), headers=headers)
        if put % _EVERY == 0:
            await bus.nc.flush(120)
    await bus.nc.flush(120)

    async def landed() -> bool:
        return (await bus.js.stream_info(STREAM)).state.messages >= before + put

    await eventually(landed, within_s=_PATIENCE_S)


async def plain_file(file: str, *, events: int, sessions: int) -> None:
    """The same events in a file of the plain design."""
    await asyncio.to_thread(_plain_file, Path(file), events, sessions)
    say("filled")


def _plain_file(file: Path, events: int, sessions: int) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.executescript("PRAGMA journal_mode = WAL;" + plain_events.TABLES)
        rows = (
            (one.session_id, one.session_name, "running", at := one.timestamp.isoformat(), at, None, one.agent_name)
            for one in started(sessions)
        )
        db.executemany("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        told = (
            (one.session_id, "post_tool", one.timestamp.isoformat(), codec.encode(one).decode())
            for one in returned(events)
        )
        db.executemany("INSERT INTO events (session_id, event_type, timestamp, body) VALUES (?, ?, ?, ?)", told)
        db.commit()


async def plain_documents_file(file: str, *, documents: int) -> None:
    """The same documents in a file of the plain design."""

    def fill() -> None:
        with closing(sqlite3.connect(file)) as db:
            db.executescript("PRAGMA journal_mode = WAL;" + plain_documents.TABLES)
            rows = ((one.document_id, one.filename, json.dumps(one.tags)) for one in created(documents))
            db.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)
            db.commit()

    await asyncio.to_thread(fill)
    say("filled")
