"""Which snapshot to start from, and bytes that claim more than they may."""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
import zlib
from pathlib import Path

import msgspec
import pytest

from benchwire.events import cancels
from benchwire.events.event import IllegalToken
from benchwire.events.rows import Stood, stood_in
from benchwire.events.snapshots.file import Unpacking, packed
from benchwire.events.snapshots.keeper import _to_the_end
from benchwire.events.snapshots.record import choice, chunks_of, empty, record_of, subjects_of
from benchwire.events.snapshots.shelf import Broken
from benchwire.events.streams import Beginning, Origin

WHOLE = Beginning(1, is_gone=False)
NEWEST = msgspec.structs.replace(empty("mine", 3, 0), deleted=False, origin="here", sequence=90)


def test_the_newest_that_fits_comes_first_and_one_that_lacks_something_last() -> None:
    older = msgspec.structs.replace(NEWEST, sequence=50)
    lacking = msgspec.structs.replace(NEWEST, sequence=80, lacks="events 1 to 9 are no longer in the log")
    ahead = msgspec.structs.replace(NEWEST, sequence=101)
    elsewhere = msgspec.structs.replace(NEWEST, origin="there")
    found = [older, elsewhere, lacking, ahead, empty("mine", 3, 1), NEWEST]
    assert choice(found, origin=Origin("here"), last=100, beginning=WHOLE) == [NEWEST, older, lacking]
    cut = Beginning(60, is_gone=True)
    assert choice(found, origin=Origin("here"), last=100, beginning=cut) == [NEWEST, lacking, older]


def test_a_server_can_tell_from_the_subject_whose_snapshot_it_is() -> None:
    slot = empty("flash-agent.host-1", 3, 2)
    records, chunks = (filter_.removesuffix(">") for filter_ in subjects_of("flash-agent.host-1"))
    assert record_of(slot) == f"{records}3.2"
    assert chunks_of(slot) == f"{chunks}3.2"
    with pytest.raises(IllegalToken):
        empty("flash-agent.*", 3, 0)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file as a projection has it, of some hundred kilobytes that cannot be compressed."""
    path = tmp_path / "p.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE applied (stream, sequence, origin, version)")
    db.execute("INSERT INTO applied VALUES ('BENCH', 7, 'here', 3)")
    db.execute("CREATE TABLE much (body)")
    db.execute("INSERT INTO much VALUES (?)", (os.urandom(600_000),))
    db.commit()
    db.close()
    return path


def test_a_file_comes_out_of_its_pieces_as_it_went_in(rows: Path, tmp_path: Path) -> None:
    size, copy = rows.stat().st_size, tmp_path / "copy.sqlite"
    pieces = list(packed(rows))
    assert len(pieces) > 2
    unpacking = Unpacking(copy, size)
    for piece in pieces:
        unpacking.add(piece)
    assert unpacking.done() == stood_in(rows) == Stood(sequence=7, origin="here", version=3, lacks="")
    assert copy.read_bytes() == rows.read_bytes()


@pytest.mark.parametrize("what", ["cut off", "bomb", "no rows", "no gzip", "damaged", "more than rows"])
def test_pieces_that_are_not_what_they_should_be_are_broken_and_leave_nothing(
    what: str, rows: Path, tmp_path: Path
) -> None:
    if what == "damaged":
        with rows.open("r+b") as file:
            file.seek(4096)
            file.write(bytes([255]) * 512)
    if what == "more than rows":
        with contextlib.closing(sqlite3.connect(rows)) as db:
            db.execute("CREATE TRIGGER t AFTER INSERT ON much BEGIN DELETE FROM much; END")
    pieces, size = list(packed(rows)), rows.stat().st_size
    gzip = zlib.compressobj(9, wbits=31)
    given, limit = {
        "cut off": (pieces[:-1], size),
        "bomb": ([gzip.compress(bytes(32 << 20)) + gzip.flush()], 1 << 20),
        "no rows": ([zlib.compress(b"words", wbits=31)], 5),
        "no gzip": ([b"power went away here"], size),
        "damaged": (pieces, size),
        "more than rows": (pieces, size),
    }[what]
    copy = tmp_path / "copy.sqlite"
    unpacking = Unpacking(copy, limit)
    with pytest.raises(Broken):
        _unpack(unpacking, given)
    unpacking.give_up()
    assert not copy.exists()


def _unpack(unpacking: Unpacking, pieces: list[bytes]) -> None:
    for piece in pieces:
        unpacking.add(piece)
    unpacking.done()


async def test_however_often_it_is_cancelled_a_copy_is_left_alone_before_its_thread_has_ended() -> None:
    begun, ending, ended = threading.Event(), threading.Event(), threading.Event()

    def copying() -> None:
        begun.set()
        ending.wait(30)
        time.sleep(0.5)  # what cannot be interrupted; whoever stops the keeper cancels it every 0.1 s
        ended.set()

    task = asyncio.create_task(_to_the_end(copying, ending))
    await asyncio.to_thread(begun.wait, 30)
    await cancels.until_over([task])
    assert ended.is_set()
    assert task.cancelled()
