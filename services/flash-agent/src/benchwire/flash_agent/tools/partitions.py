"""The partition table of an ESP board: where its flash holds what ("Partition Tables" in the ESP-IDF programming guide)."""

import hashlib
import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from benchwire.flash_agent.errors import ImageRefused, NoPartition

TABLE_ADDRESS = 0x8000
TABLE_BYTES = 0xC00
TABLE_SECTOR_BYTES = 0x1000
APP_ALIGNMENT = 0x10000  # the cache maps flash in pages of 64 KiB
DATA_ALIGNMENT = 0x1000

ENTRY_MAGIC = b"\xaa\x50"
MD5_MAGIC = b"\xeb\xeb" + b"\xff" * 14
_ENTRY = struct.Struct("<2sBBII16sI")
_END = b"\xff" * _ENTRY.size
_APP = 0


class Partition(NamedTuple):
    """A named stretch of flash."""

    name: str
    kind: int
    subkind: int
    address: int
    size_bytes: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.size_bytes

    @property
    def is_app(self) -> bool:
        """Whether it is meant for a program."""
        return self.kind == _APP


def parse(table: bytes) -> list[Partition]:
    """The partitions of ``table``, in their order. Raises ``ImageRefused`` with what is wrong with it."""
    found: list[Partition] = []
    for place in range(0, len(table), _ENTRY.size):
        row = table[place : place + _ENTRY.size]
        if row == _END:
            break
        if row.startswith(MD5_MAGIC):
            _check_md5(table[:place], row[len(MD5_MAGIC) :])
        elif row.startswith(ENTRY_MAGIC) and len(row) == _ENTRY.size:
            found.append(_entry(row, len(found) + 1))
        else:
            raise ImageRefused(f"the partition table is damaged: its row {place // _ENTRY.size + 1} is no entry")
    else:
        raise ImageRefused("the partition table is cut off: it has no end")
    if not found:
        raise ImageRefused("the partition table is empty")
    _check_layout(found)
    return found


def _entry(row: bytes, number: int) -> Partition:
    _, kind, subkind, address, size_bytes, raw_name, _ = _ENTRY.unpack(row)
    try:
        name = raw_name.rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise ImageRefused(f"the partition table is damaged: the name of its entry {number} is no text") from error
    return Partition(name, kind, subkind, address, size_bytes)


def _check_md5(rows: bytes, stored: bytes) -> None:
    if hashlib.md5(rows, usedforsecurity=False).digest() != stored:
        raise ImageRefused("the partition table is damaged: its MD5 does not fit its entries")


def _check_layout(found: list[Partition]) -> None:
    for one in found:
        grain = APP_ALIGNMENT if one.is_app else DATA_ALIGNMENT
        if one.address % grain:
            raise ImageRefused(
                f"the partition {one.name} begins at {one.address:#x}, which is no multiple of {grain:#x}"
            )
        if one.address < TABLE_ADDRESS + TABLE_SECTOR_BYTES and one.end > TABLE_ADDRESS:
            raise ImageRefused(f"the partition {one.name} lies over the partition table at {TABLE_ADDRESS:#x}")
    for before, after in pairwise(sorted(found, key=lambda one: one.address)):
        if after.address < before.end:
            raise ImageRefused(f"the partitions {before.name} and {after.name} overlap at {after.address:#x}")


def fit(found: Iterable[Partition], flash_bytes: int) -> None:
    """All of them lie within the flash. Raises ``ImageRefused``."""
    for one in found:
        if one.end > flash_bytes:
            raise ImageRefused(
                f"the partition {one.name} ends at {one.end:#x}, beyond this board's flash of {flash_bytes:#x} bytes"
            )


def named(found: Iterable[Partition], name: str) -> Partition:
    """The partition of that name. Raises ``NoPartition``, which lists those that there are."""
    known = {one.name: one for one in found}
    if name not in known:
        raise NoPartition(f"the board has no partition {name}; it has {', '.join(known)}")
    return known[name]
