"""A projection's file that was damaged is noticed, whoever looks first."""

import contextlib
import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from benchwire.events import intact
from benchwire.events.intact import damage_of, is_damage

_PAGE_BYTES = 4096
_MOVED_AT = 96  # in the index of a write-ahead log: how many of its pages are in the file for certain
ROWS = 200


def written(path: Path, *, moved: bool) -> Path:
    """A file as a killed process leaves it: all of it in the write-ahead log, and, when that was ``moved``, in the file itself too."""
    live = path.with_name("live")
    live.mkdir()
    with contextlib.closing(sqlite3.connect(live / path.name, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("CREATE TABLE facts (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        for number in range(ROWS):
            db.execute("INSERT INTO facts VALUES (?, ?)", (number, "x" * 300))
        if moved:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        for one in live.iterdir():
            shutil.copy(one, path.with_name(one.name))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path / "projection.sqlite", moved=True)


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def test_a_file_that_is_not_there_and_one_of_a_killed_process_are_not_damaged(file: Path, tmp_path: Path) -> None:
    assert damage_of(tmp_path / "none.sqlite") is None
    assert wal(file).stat().st_size
    assert damage_of(file) is None
    with contextlib.closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT count(*) FROM facts").fetchone() == (ROWS,)


def test_an_end_that_the_write_ahead_log_lost_is_no_damage(tmp_path: Path) -> None:
    path = written(tmp_path / "projection.sqlite", moved=False)
    os.truncate(wal(path), wal(path).stat().st_size // 2)
    assert damage_of(path) is None
    with contextlib.closing(sqlite3.connect(path)) as db:
        (left,) = db.execute("SELECT count(*) FROM facts").fetchone()
    assert 0 < left < ROWS


def test_a_write_ahead_log_that_lost_what_the_file_has_already_is_damage(file: Path) -> None:
    os.truncate(wal(file), wal(file).stat().st_size // 2)
    assert "lost" in str(damage_of(file))


def test_what_a_killed_process_had_begun_to_move_into_the_file_may_be_there(file: Path) -> None:
    """It wrote pages of the log into the file, and was killed before it could say how many: only what it attempted is known."""
    with file.with_name(file.name + "-shm").open("r+b") as index:
        index.seek(_MOVED_AT)
        assert index.read(4) != bytes(4)
        index.seek(_MOVED_AT)
        index.write(bytes(4))
    os.truncate(wal(file), wal(file).stat().st_size // 2)
    assert "lost" in str(damage_of(file))


def test_a_large_file_is_read_whole_unless_it_was_closed_in_order(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled = file.stat().st_size // 2 // _PAGE_BYTES * _PAGE_BYTES
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not wal(file).exists()
    with file.open("r+b") as opened:
        opened.seek(spoiled)
        opened.write(b"?" * 512)
    monkeypatch.setattr(intact, "_READ_ALWAYS_BYTES", 0)
    assert damage_of(file) is None
    wal(file).touch()
    assert damage_of(file)


@pytest.mark.parametrize("seed", range(8))
def test_a_page_that_was_scribbled_over_is_damage(file: Path, seed: int) -> None:
    chance = random.Random(seed)
    with contextlib.closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as opened:
        opened.seek(chance.randrange(file.stat().st_size // _PAGE_BYTES) * _PAGE_BYTES)
        opened.write(chance.randbytes(512))
    assert damage_of(file)


def test_what_is_no_database_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "projection.sqlite"
    path.write_bytes(b"not rows at all" * 1000)
    assert damage_of(path)


def test_a_disk_that_is_full_is_no_damage() -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert not is_damage(full)
