"""What is wrong with a board, because a test asked for it.

{"kind": "mute"}                             the probe answers nothing and the firmware's output is lost
{"kind": "wrong_chip", "chip": "stm32f103"}  the chip answers with the ids of this one (its own name: no longer)
{"kind": "bad_sector", "address": A}         the flash sector with this address can't be erased or programmed
{"kind": "flip_bit", "address": A}           one bit ("bit", 0) of this byte comes out wrong the next time it is programmed
{"kind": "drop", "after_bytes": N}           the cable goes after a debugger wrote so many more bytes to the chip
{"kind": "slow", "bytes_per_s": N}           limits how fast flash is programmed (0: no limit)
{"kind": "disconnect"}, {"kind": "reconnect"}  the probe falls off, and comes back on the same port
{"kind": "unplug"}                           pulls the cable

A power cycle ends all of them but a slow flash and a probe that fell off.
"""

import asyncio
from typing import Any

from benchwire.boards.virtual.arguments import bit, chip, count, integer, unknown
from benchwire.boards.virtual.board import BoardError
from benchwire.boards.virtual.cortexm.chip import Chip
from benchwire.boards.virtual.cortexm.chips import CHIPS
from benchwire.boards.virtual.cortexm.probe import Probe, ProbeServer
from benchwire.boards.virtual.flash_array import BitFlip

KINDS = ("bad_sector", "disconnect", "drop", "flip_bit", "mute", "reconnect", "slow", "unplug", "wrong_chip")


class Faults:
    """The faults of one board. `unplugged` is set when its cable is gone."""

    def __init__(self, chip: Chip, probe: Probe, server: ProbeServer, unplugged: asyncio.Event) -> None:
        self.unplugged = unplugged
        self._chip = chip
        self._probe = probe
        self._server = server

    async def begin(self, kind: str, arguments: dict[str, Any]) -> None:
        """Raises `BoardError` for a fault or arguments that make no sense."""
        match kind:
            case "mute":
                self._server.muted = self._chip.muted = True
            case "wrong_chip":
                self._chip.pose_as(CHIPS[chip(arguments, CHIPS)])
            case "bad_sector":
                self._chip.array.bad_sectors.append(self._chip.controller.sector_at(self._offset(arguments)))
            case "flip_bit":
                self._chip.array.flips.append(BitFlip(offset=self._offset(arguments), bit=bit(arguments)))
            case "drop":
                self._probe.cable_bytes = count(arguments, "after_bytes")
            case "slow":
                self._chip.slow_bytes_per_s = count(arguments, "bytes_per_s") or None
            case "disconnect":
                await self._server.disconnect()
            case "reconnect":
                await self._reconnect()
            case "unplug":
                self.unplugged.set()
            case _:
                raise unknown(kind, KINDS)

    def end(self) -> None:
        """The power was cycled."""
        self._server.muted = self._chip.muted = False
        self._probe.cable_bytes = None
        self._chip.pose_as(self._chip.description)
        self._chip.array.mend()

    async def _reconnect(self) -> None:
        try:
            await self._server.listen()
        except OSError as error:
            raise BoardError(f"the probe's port {self._server.port} can't be opened again: {error}") from error

    def _offset(self, arguments: dict[str, Any]) -> int:
        offset = self._chip.description.offset_of(integer(arguments, "address"))
        if offset is None:
            regions = (f"{region.base:#x}, {region.size_bytes} bytes" for region in self._chip.description.flash)
            raise BoardError(f"this fault needs an address in flash ({'; '.join(regions)})")
        return offset
