"""A virtual Cortex-M board: the chip, its debug probe, its serial port and its flash file, put together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchwire.boards.virtual.board import BoardError, Place, ResetMode
from benchwire.boards.virtual.cortexm.app import App
from benchwire.boards.virtual.cortexm.chip import Chip
from benchwire.boards.virtual.cortexm.chips import CHIPS
from benchwire.boards.virtual.cortexm.debug import CoreState
from benchwire.boards.virtual.cortexm.description import Description
from benchwire.boards.virtual.cortexm.faults import Faults
from benchwire.boards.virtual.cortexm.l475.app import EmulatedApp
from benchwire.boards.virtual.cortexm.probe import HOST, Probe, ProbeServer
from benchwire.boards.virtual.cortexm.qemu import QemuApp
from benchwire.boards.virtual.flash_file import flash_cells
from benchwire.boards.virtual.uart import Uart


class CortexMBoard:
    """One board that is plugged in. For what can go wrong with it see `faults`."""

    def __init__(self, chip: Chip, server: ProbeServer, faults: Faults, uart: Uart) -> None:
        self.unplugged = faults.unplugged
        self._chip = chip
        self._server = server
        self._faults = faults
        self._uart = uart

    @property
    def probe(self) -> str:
        """The probe's unique id for pyocd."""
        return f"remote:{HOST}:{self._server.port}"

    async def reset(self, mode: ResetMode) -> None:
        """Pull the reset line. Serial boot loaders aren't modelled, so there is no download mode."""
        if mode != "run":
            raise BoardError("this board has no download mode: it is flashed through its debug probe")
        if not self._chip.powered:
            raise BoardError("the board has no power")
        await self._chip.system_reset()

    async def power(self, on: bool) -> None:
        """Switch the chip's supply; the probe has its own."""
        if on and not self._chip.powered:
            self._faults.end()
        await (self._chip.power_on() if on else self._chip.power_off())

    async def fault(self, kind: str, arguments: dict[str, Any]) -> None:
        """Make something go wrong."""
        await self._faults.begin(kind, arguments)

    def status(self) -> dict[str, Any]:
        """JSON types only."""
        chip = self._chip
        return {
            "running": chip.state is CoreState.APP,
            "powered": chip.powered,
            "core": chip.state.value,
            "chip": chip.identity.name,
            "flash_sha256": chip.array.sha256(),
            "crash": chip.fault or chip.app.explain(),
            "boots": chip.app.starts,
            "app_pid": chip.app.pid,
            "probe": self.probe,
            "probe_listening": self._server.listening,
            "muted": chip.muted,
            "bytes_per_s": chip.slow_bytes_per_s or 0,
            "programmed_bytes": chip.array.programmed_bytes,
            "erased_sectors": chip.array.erased_sectors,
            "dropped_uart_bytes": self._uart.dropped_bytes,
        }


@asynccontextmanager
async def open_board(place: Place, uart: Uart) -> AsyncIterator[CortexMBoard]:
    """Power the board up; on leaving, its emulator and its port are gone and its flash file is complete."""
    description = CHIPS[place.profile]
    unplugged = asyncio.Event()
    with flash_cells(place.flash_file, description.flash_bytes) as cells:
        async with asyncio.TaskGroup() as tasks:

            def prints(data: bytes) -> None:
                if not chip.muted:
                    uart.write(data)

            app = app_of(description, uart, prints, place.flash_file)
            chip = Chip(description, board=place.name, cells=cells, app=app, tasks=tasks)
            probe = Probe(chip)
            server = ProbeServer(probe, tasks, unplugged.set)
            try:
                await chip.power_on()
                await server.listen()
                yield CortexMBoard(chip, server, Faults(chip, probe, server, unplugged), uart)
            finally:
                await server.disconnect()
                await chip.close()


def app_of(chip: Description, uart: Uart, prints: Callable[[bytes], None], flash_file: Path) -> App:
    """What runs the firmware of this chip."""
    if chip.machine is None:
        return EmulatedApp(uart, prints)
    return QemuApp(chip, chip.machine, uart=uart, send=prints, flash_file=flash_file)
