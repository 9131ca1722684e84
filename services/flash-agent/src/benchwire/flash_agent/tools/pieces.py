"""Bytes that belong somewhere in flash."""

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


def in_sectors(pieces: list[Piece], sector_bytes: int) -> list[Piece]:
    """The same bytes in pieces that begin with a sector and share none; what lies between them in a sector is as erasing leaves it.

    Pieces that overlap stay as they are.
    """
    placed: list[Piece] = []
    for piece in sorted(pieces):
        start = piece.address - piece.address % sector_bytes
        before = placed[-1] if placed else Piece(0, b"")
        if before.end <= start:
            placed.append(Piece(start, b"\xff" * (piece.address - start) + piece.data))
        elif before.end <= piece.address:
            gap = b"\xff" * (piece.address - before.end)
            placed[-1] = Piece(before.address, before.data + gap + piece.data)
        else:
            placed.append(piece)
    return placed
