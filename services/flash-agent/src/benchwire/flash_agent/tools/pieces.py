"""Bytes that belong somewhere in flash."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Piece(NamedTuple):
    """``data`` belongs at ``address``, or at the beginning of ``partition``."""

    address: int
    data: bytes
    partition: str | None = None

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + len(self.data)

    def __str__(self) -> str:
        where = f"{self.address:#x}" if self.partition is None else f"the partition {self.partition}"
        return f"{len(self.data)} bytes at {where}"


def size_of(pieces: Iterable[Piece]) -> int:
    """How many bytes they are together."""
    return sum(len(piece.data) for piece in pieces)


def split(pieces: Iterable[Piece], most_bytes: int) -> Iterator[Piece]:
    """The same bytes in pieces of ``most_bytes`` at most."""
    for piece in pieces:
        for start in range(0, len(piece.data), most_bytes):
            yield Piece(piece.address + start, piece.data[start : start + most_bytes])


def places_of(pieces: Iterable[Piece]) -> str:
    """Where they begin, for people."""
    return ", ".join(f"{piece.address:#x}" for piece in pieces)


def in_sectors(pieces: list[Piece], sector_bytes: int) -> list[Piece]:
    """The same bytes in pieces that begin with a sector and share none; what lies between them in a sector is as erasing leaves it.

    Pieces that overlap stay as they are.
    """
    placed: list[tuple[int, bytearray]] = []
    for piece in sorted(pieces):
        start = piece.address - piece.address % sector_bytes
        end = placed[-1][0] + len(placed[-1][1]) if placed else 0
        if end <= start:
            placed.append((start, bytearray(b"\xff" * (piece.address - start) + piece.data)))
        elif end <= piece.address:
            placed[-1][1].extend(b"\xff" * (piece.address - end) + piece.data)
        else:
            placed.append((piece.address, bytearray(piece.data)))
    return [Piece(address, bytes(data)) for address, data in placed]
