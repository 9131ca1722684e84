"""From the log to rows: as fast as SQLite takes them, in the straightforward way, and as the services do it.

All make the tables of the observability service. What SQLite alone takes is measured with the rows that the service made: they are copied,
table by table, with ``executemany``.
"""

import asyncio
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import nats
import psutil
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from sqlite_utils import Database

from benchmarks.measuring import Measured
from benchwire.events import codec
from benchwire.events.bus import STREAM, connected
from benchwire.events.catalog import FACTS
from benchwire.events.log import Recorded
from benchwire.events.projection import Projection
from benchwire.events.settings import NatsSettings
from benchwire.observability.projection import SCHEMA

_ROWS = 5000
_FETCH = 500
_TABLES = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%'"


async def projected(url: str, *, file: str, count: int) -> Measured:
    """The services' own projection, into a new file."""
    path = Path(file)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    async with connected(NatsSettings(nats_url=url), name="benchmark") as bus:
        begun = time.perf_counter()
        async with Projection(bus, path, SCHEMA).running():
            took = time.perf_counter() - begun
    return {"events_per_s": count / took, "resident_mb": psutil.Process(os.getpid()).memory_info().rss / 1e6}


async def copied(source: str, *, file: str, count: int) -> Measured:
    """All rows of ``source`` into the same tables, ``executemany`` of 5000 at a time; reading them is not counted."""
    took = await asyncio.to_thread(_copied, Path(source), Path(file))
    return {"events_per_s": count / took}


def _copied(source: Path, file: Path) -> float:
    took = 0.0
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(file, isolation_level=None)) as new,
    ):
        new.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
        schema = old.execute(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (sql,) in schema:
            new.execute(sql)
        for (table,) in old.execute(_TABLES).fetchall():
            cursor = old.execute(f'SELECT * FROM "{table}"')  # noqa: S608
            insert = f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(cursor.description))})'  # noqa: S608
            while rows := cursor.fetchmany(_ROWS):
                begun = time.perf_counter()
                new.execute("BEGIN")
                new.executemany(insert, rows)
                new.execute("COMMIT")
                took += time.perf_counter() - begun
    file.unlink()
    return took


async def straightforward(url: str, *, file: str, count: int) -> Measured:
    """``fetch(500)``, every event decoded, made into rows one by one, and acknowledged; one commit for each fetch."""
    Path(file).unlink(missing_ok=True)  # noqa: ASYNC240
    conn = await asyncio.to_thread(sqlite3.connect, file, isolation_level=None, check_same_thread=False)
    conn.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + SCHEMA.tables)
    db = Database(conn)
    nc = await nats.connect(url)
    config = ConsumerConfig(
        ack_policy=AckPolicy.EXPLICIT, deliver_policy=DeliverPolicy.ALL, filter_subject=FACTS, max_ack_pending=2 * _FETCH,
        durable_name=None, inactive_threshold=30.0,
    )  # fmt: skip
    subscription = await nc.jetstream().pull_subscribe(FACTS, stream=STREAM, config=config)
    begun, done = time.perf_counter(), 0
    while done < count:
        with suppress(NatsTimeoutError):
            messages = await subscription.fetch(min(_FETCH, count - done), timeout=30)
            with db.atomic():
                for message in messages:
                    event = codec.decode(message.data, message.headers)
                    assert not isinstance(event, codec.Unknown)
                    place = message.metadata
                    SCHEMA.apply(db, Recorded(place.sequence.stream, str(done), event, place.timestamp))
            for message in messages:
                await message.ack()
            done += len(messages)
    took = time.perf_counter() - begun
    await nc.close()
    conn.close()
    return {"events_per_s": count / took}
