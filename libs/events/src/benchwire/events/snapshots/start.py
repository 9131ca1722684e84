"""Puts a copy in the place of rows that are not there, or no longer go together with what the log still has."""

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path

from benchwire.events.rows import Stood, removed
from benchwire.events.snapshots.file import Unpacking, incoming_of
from benchwire.events.snapshots.record import Snapshot
from benchwire.events.snapshots.shelf import Broken, Shelf

log = logging.getLogger(__name__)


async def placed(shelf: Shelf, candidates: list[Snapshot], path: Path) -> Snapshot | None:
    """The first of ``candidates`` that is whole, now the file ``path``; None when none is. What was there before is gone only then.

    Raises what NATS raises, when that is away.
    """
    for one in candidates:
        incoming = incoming_of(path)
        try:
            await _fetched(shelf, one, incoming)
        except TimeoutError:  # NATS is silent; it says nothing about the copy
            raise
        except (Broken, OSError) as reason:
            log.warning("the snapshot %s at %d is of no use: %s", one.name, one.sequence, reason)
            continue
        await asyncio.to_thread(_moved, incoming, path)
        log.info("%s starts from the snapshot %s at %d", path.name, one.name, one.sequence)
        return one
    return None


async def _fetched(shelf: Shelf, snapshot: Snapshot, path: Path) -> None:
    unpacking = await asyncio.to_thread(Unpacking, path, snapshot.file_bytes)
    try:
        async with aclosing(shelf.pieces(snapshot)) as pieces:
            async for piece in pieces:
                await asyncio.to_thread(unpacking.add, piece)
        _check(snapshot, await asyncio.to_thread(unpacking.done))
    except BaseException:
        await asyncio.to_thread(unpacking.give_up)
        raise


def _check(snapshot: Snapshot, told: Stood) -> None:
    if (told.sequence, told.origin, told.version) != (snapshot.sequence, snapshot.origin, snapshot.version):
        raise Broken(f"its record says {snapshot.sequence}, and its rows stand at {told.sequence}")


def _moved(incoming: Path, path: Path) -> None:
    removed(path)
    incoming.replace(path)
