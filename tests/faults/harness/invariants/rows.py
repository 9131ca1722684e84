"""Rows are what the log makes of them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from benchwire.agent import projection as of_agent
from benchwire.documents import projection as of_documents
from benchwire.events.bus import Bus
from benchwire.events.projection import Projection, Schema, rows_of
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent import projection as of_flash_agent
from benchwire.observability import projection as of_observability
from benchwire.observability.projection import search as of_search

from .finding import Finding

_SHOWN_CHARS = 300  # of a row


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """One service's projection: whose it is, its file, and what it is made by."""

    of: str
    file: Path
    schema: Schema


def rows_in(data: Path, *, flash_host: str | None = None, runner: bool = False, doors: bool = False) -> list[Rows]:
    """The projections that lie in one ``BENCHWIRE_DATA``: of the flash agent of a host, of a runner, of the two HTTP services."""
    found = []
    if doors:
        home = data / "observability"
        found.append(Rows(of="observability", file=home / "projection.sqlite", schema=of_observability.SCHEMA))
        found.append(Rows(of="search", file=home / "search.sqlite", schema=of_search.SCHEMA))
        found.append(Rows(of="documents", file=data / "documents" / "projection.sqlite", schema=of_documents.SCHEMA))
    if runner:
        found.append(
            Rows(of=f"agent in {data.name}", file=data / "agent" / "projection.sqlite", schema=of_agent.SCHEMA)
        )
    if flash_host is not None:
        file = data / "flash-agent" / "projection.sqlite"
        found.append(Rows(of=f"flash agent of {flash_host}", file=file, schema=of_flash_agent.schema(flash_host)))
    return found


async def rows_equal_a_rebuild(bus: Bus, rows: Sequence[Rows], scratch: Path, *, within_s: float = 60.0) -> Finding:
    """Each file of rows holds what the log alone makes of an empty one, row for row; the services may run meanwhile.

    A service that runs may be a moment behind the log, so the two are compared until they are equal, or time is up.
    """
    wrong, figures = list[str](), dict[str, int]()
    for number, one in enumerate(rows):
        fresh = scratch / str(number) / "projection.sqlite"
        async with Projection(bus, fresh, one.schema, with_snapshots=False).running():
            try:
                await eventually(partial(_are_equal, one.file, fresh), within_s=within_s)
            except AssertionError:
                wrong += [f"{one.of}: {said}" for said in await asyncio.to_thread(_differences, one.file, fresh)]
            figures[f"rows of {one.of}"] = sum(map(len, (await asyncio.to_thread(rows_of, fresh)).values()))
    return Finding(invariant="every projection equals a rebuild, row for row", figures=figures, wrong=wrong)


async def _are_equal(live: Path, fresh: Path) -> bool:
    return await asyncio.to_thread(rows_of, live) == await asyncio.to_thread(rows_of, fresh)


def _differences(live: Path, fresh: Path) -> list[str]:
    has, should = rows_of(live), rows_of(fresh)
    told = []
    for table in sorted(has.keys() | should.keys()):
        there, wanted = Counter(map(repr, has.get(table, []))), Counter(map(repr, should.get(table, [])))
        told += [f"{table} has {row[:_SHOWN_CHARS]}" for row in (there - wanted)] + [
            f"{table} lacks {row[:_SHOWN_CHARS]}" for row in (wanted - there)
        ]
    return told or ["they differed until the last moment, and are equal now"]
