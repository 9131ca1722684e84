"""What is wrong with a board, because a test asked for it.

{"kind": "wrong_chip", "chip": "RPI-RP9"}  the drive says that it belongs to a board with this id
{"kind": "bad_sector", "address": A}       the flash sector with this address can't be erased or programmed
{"kind": "flip_bit", "address": A}         one bit ("bit", 0) of this byte comes out wrong the next time it is programmed
{"kind": "drop", "after_bytes": N}         the cable goes after so many more bytes from the host
{"kind": "slow", "bytes_per_s": N}         limits how fast the drive takes what is written to it (0: no limit)
{"kind": "unplug"}                         pulls the cable

Addresses are those of the chip: flash begins at 0x10000000. The boot ROM never looks at what it has programmed, so a bad
sector or a wrong bit is found by reading back only. A power cycle ends all of them but a slow drive.
"""

import asyncio
from typing import Any

from benchwire.boards.rp2040 import FLASH_START
from benchwire.boards.virtual.arguments import bit, count, integer, unknown
from benchwire.boards.virtual.board import BoardError
from benchwire.boards.virtual.rp2040.drive import LABEL
from benchwire.boards.virtual.rp2040.flash import SIZE_BYTES, Flash

KINDS = ("bad_sector", "drop", "flip_bit", "slow", "unplug", "wrong_chip")


class Faults:
    """The faults of one board. ``unplugged`` is set when its cable is gone."""

    def __init__(self, flash: Flash) -> None:
        self.unplugged = asyncio.Event()
        self.board_id = LABEL  # what the drive says of itself
        self.bytes_per_s = 0
        self._flash = flash
        self._bytes_to_drop: int | None = None

    def begin(self, kind: str, arguments: dict[str, Any]) -> None:
        """Raises ``BoardError`` for a fault or arguments that make no sense."""
        match kind:
            case "bad_sector":
                self._flash.break_sector(_offset(arguments))
            case "drop":
                self._bytes_to_drop = count(arguments, "after_bytes")
            case "flip_bit":
                self._flash.flip_when_programmed(_offset(arguments), bit(arguments))
            case "slow":
                self.bytes_per_s = count(arguments, "bytes_per_s")
            case "unplug":
                self.unplugged.set()
            case "wrong_chip":
                self.board_id = _board_id(arguments.get("chip"))
            case _:
                raise unknown(kind, KINDS)

    def end(self) -> None:
        """The power was cycled."""
        self.board_id = LABEL
        self._bytes_to_drop = None
        self._flash.mend()

    def arrives(self, size_bytes: int) -> bool:
        """Whether so many more bytes from the host get to the chip; if not, the cable is gone."""
        if self._bytes_to_drop is not None:
            self._bytes_to_drop -= size_bytes
            if self._bytes_to_drop < 0:
                self.unplugged.set()
                return False
        return True


def _board_id(chip: object) -> str:
    if not isinstance(chip, str) or not chip.isprintable():
        raise BoardError(f"this fault needs the board id of another board in 'chip', got {chip!r}")
    return chip


def _offset(arguments: dict[str, Any]) -> int:
    """Where in the flash chip an address lies."""
    offset = integer(arguments, "address") - FLASH_START
    if not 0 <= offset < SIZE_BYTES:
        raise BoardError(f"the flash of this board lies at {FLASH_START:#x} and has {SIZE_BYTES:#x} bytes")
    return offset
