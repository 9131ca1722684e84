"""What is wrong with a board, because a test asked for it.

{"kind": "mute"}                         no answers and no output
{"kind": "wrong_chip", "chip": "esp32"}  the loader says that it is this chip
{"kind": "bad_md5", "times": 1}          so many answers to the question for a digest of the flash are wrong
{"kind": "bad_sector", "address": A}     the flash sector with this address can't be erased or programmed
{"kind": "flip_bit", "address": A}       one bit ("bit", 0) of this byte comes out wrong the next time it is programmed
{"kind": "drop", "after_bytes": N}       the cable goes after so many more bytes from the host
{"kind": "slow", "bytes_per_s": N}       limits the loader's line in both directions (0: no limit)
{"kind": "unplug"}                       pulls the cable

A power cycle ends all of them but a slow line.
"""

import asyncio
from typing import Any

from benchwire.boards.virtual.arguments import bit, chip, count, integer, unknown
from benchwire.boards.virtual.board import BoardError
from benchwire.boards.virtual.esp.chips import CHIPS, Identity
from benchwire.boards.virtual.esp.nor import Nor, NorError

KINDS = ("bad_md5", "bad_sector", "drop", "flip_bit", "mute", "slow", "unplug", "wrong_chip")


class Faults:
    """The faults of one board. `unplugged` is set when its cable is gone."""

    def __init__(self, nor: Nor) -> None:
        self.unplugged = asyncio.Event()
        self.muted = False
        self.bytes_per_s = 0
        self.identity: Identity | None = None  # what the loader pretends to be
        self._nor = nor
        self._bad_md5s = 0
        self._bytes_to_drop: int | None = None

    def begin(self, kind: str, arguments: dict[str, Any]) -> None:
        """Raises `BoardError` for a fault or arguments that make no sense."""
        match kind:
            case "mute":
                self.muted = True
            case "wrong_chip":
                self.identity = CHIPS[chip(arguments, CHIPS)].identity
            case "bad_md5":
                self._bad_md5s = count({"times": 1} | arguments, "times")
            case "bad_sector" | "flip_bit":
                self._spoil_flash(kind, arguments)
            case "drop":
                self._bytes_to_drop = count(arguments, "after_bytes")
            case "slow":
                self.bytes_per_s = count(arguments, "bytes_per_s")
            case "unplug":
                self.unplugged.set()
            case _:
                raise unknown(kind, KINDS)

    def end(self) -> None:
        """The power was cycled."""
        self.muted = False
        self.identity = None
        self._bad_md5s = 0
        self._bytes_to_drop = None
        self._nor.mend()

    def arrived(self, data: bytes) -> bytes:
        """What of the bytes that the host sent gets to the chip: all, or those before the cable went."""
        if self._bytes_to_drop is None:
            return data
        data = data[: self._bytes_to_drop]
        self._bytes_to_drop -= len(data)
        if self._bytes_to_drop == 0:
            self.unplugged.set()
        return data

    def told_md5(self, digest: bytes) -> bytes:
        """The digest that the loader answers instead of `digest`."""
        if self._bad_md5s == 0:
            return digest
        self._bad_md5s -= 1
        return bytes(byte ^ 0xFF for byte in digest)

    def _spoil_flash(self, kind: str, arguments: dict[str, Any]) -> None:
        address = integer(arguments, "address")
        try:
            if kind == "bad_sector":
                self._nor.fail_at(address)
            else:
                self._nor.flip_when_programmed(address, bit(arguments))
        except NorError as error:
            raise BoardError(str(error)) from error
