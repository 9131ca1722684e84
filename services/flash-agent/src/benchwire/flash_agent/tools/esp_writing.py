"""Writes pieces into an ESP's flash, block by block, with esptool's loader object. Imports no esptool.

esptool's own ``write_flash`` counts compressed bytes, verifies each file before it writes the next, gives up compressing for good with the
first file that does not get smaller, and reconnects without telling anybody. Here bytes are those of the image, every piece is compressed
or not on its own, and blocks may be small where there is a limit.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchwire.flash_agent.tools.pieces import Piece, size_of
from benchwire.flash_agent.tools.worker import ERASED, Owner

# Of image that are compressed so that they can be sent on their own; it costs 3 % of what compressing saves.
UNIT_BYTES = 4096
MOST_BYTES = 64 * 1024  # of image in one block: a pause or a cancel waits no longer than for that
ROM_ERASE_BYTES = 256 * 1024
FIRST_BLOCK = "the first block is written"


class Block(NamedTuple):
    """``data`` as it is sent, and how many bytes of the image it is."""

    data: bytes
    image_bytes: int


def packed(image: bytes) -> list[Block]:
    """``image`` as one zlib stream, in units that the chip can write as they come."""
    stream = zlib.compressobj(9)
    units = []
    for start in range(0, len(image), UNIT_BYTES):
        unit = image[start : start + UNIT_BYTES]
        is_last = start + UNIT_BYTES >= len(image)
        data = stream.compress(unit) + stream.flush(zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH)
        units.append(Block(data, len(unit)))
    return units


def joined(units: Sequence[Block], owner: Owner, most_sent: int) -> Iterator[Block]:
    """``units`` in blocks as large as the loader's buffer and the owner's limit allow at that moment."""
    place = 0
    while place < len(units):
        most_bytes = owner.step_bytes(MOST_BYTES)
        data, image_bytes = units[place]
        place += 1
        while place < len(units):
            following = units[place]
            if len(data) + len(following.data) > most_sent or image_bytes + following.image_bytes > most_bytes:
                break
            data, image_bytes = data + following.data, image_bytes + following.image_bytes
            place += 1
        yield Block(data, image_bytes)


def plain(image: bytes, owner: Owner, block_bytes: int, *, whole_blocks: bool) -> Iterator[Block]:
    """``image`` in blocks of ``block_bytes``, or less where the owner has a limit; a ROM takes whole blocks only."""
    place = 0
    while place < len(image):
        step_bytes = block_bytes
        if not whole_blocks:
            step_bytes = max(UNIT_BYTES, owner.step_bytes(block_bytes) // UNIT_BYTES * UNIT_BYTES)
        data = image[place : place + step_bytes]
        yield Block(data.ljust(block_bytes, b"\xff") if whole_blocks else data, len(data))
        place += step_bytes


def erase_chip(esp: Any, flash_bytes: int, owner: Owner) -> None:
    """Erases everything. The stub does that in one go; a ROM piece by piece, because it knows no such command."""
    if esp.IS_STUB:
        owner.stage("erasing", flash_state="partial", until=ERASED)
        esp.erase_flash()
        return
    owner.stage("erasing", total_bytes=flash_bytes, flash_state="partial")
    for start in range(0, flash_bytes, ROM_ERASE_BYTES):
        size_bytes = min(ROM_ERASE_BYTES, flash_bytes - start)
        esp.flash_begin(size_bytes, start, logging=False)
        owner.progress(start + size_bytes)


def write(esp: Any, pieces: Sequence[Piece], owner: Owner, *, compress: bool) -> None:
    """Writes ``pieces``; their lengths are multiples of 4. The stub erases as it goes, a ROM each piece before it writes it."""
    total_bytes, done_bytes = size_of(pieces), 0
    if esp.IS_STUB:
        owner.stage("erasing", flash_state="partial")
        owner.stage("writing", total_bytes=total_bytes)
    for piece in pieces:
        if not esp.IS_STUB:
            owner.stage("erasing", flash_state="partial", until=FIRST_BLOCK)
        units = packed(piece.data) if compress and esp.IS_STUB else []
        sent_bytes = sum(len(unit.data) for unit in units)
        is_packed = 0 < sent_bytes < len(piece.data)
        if is_packed:
            esp.flash_defl_begin(len(piece.data), sent_bytes, piece.address)
            blocks = joined(units, owner, esp.FLASH_WRITE_SIZE)
        else:
            esp.flash_begin(len(piece.data), piece.address, logging=False)
            blocks = plain(piece.data, owner, esp.FLASH_WRITE_SIZE, whole_blocks=not esp.IS_STUB)
        if not esp.IS_STUB:
            owner.stage("writing", total_bytes=total_bytes, done_bytes=done_bytes)
        send = esp.flash_defl_block if is_packed else esp.flash_block
        for number, block in enumerate(blocks):
            send(block.data, number)
            done_bytes += block.image_bytes
            owner.progress(done_bytes)
        _finish(esp, is_packed=is_packed)


def _finish(esp: Any, *, is_packed: bool) -> None:
    """The stub answers for a block before it has written it; for this it answers afterwards. A ROM would start the program."""
    if not esp.IS_STUB:
        return
    if is_packed:
        esp.flash_defl_finish(reboot=False)
    else:
        esp.flash_finish(reboot=False)
