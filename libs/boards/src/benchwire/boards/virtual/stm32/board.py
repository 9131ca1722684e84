"""A virtual STM32F405 board: the chip, its debug probe, its serial port and its flash file, put together."""

import asyncio
import mmap
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from benchwire.boards.virtual.board import BoardError, Place, ResetMode, integer
from benchwire.boards.virtual.stm32.app import App
from benchwire.boards.virtual.stm32.chip import Chip
from benchwire.boards.virtual.stm32.debug import CoreState
from benchwire.boards.virtual.stm32.flash import BitFlip
from benchwire.boards.virtual.stm32.layout import FLASH_BASE, FLASH_BYTES
from benchwire.boards.virtual.stm32.probe import HOST, Probe, ProbeServer
from benchwire.boards.virtual.uart import Uart


class Stm32Board:
    """Faults: flip_bit(address, bit=0), slow(bytes_per_s, 0 = off), disconnect, reconnect, unplug."""

    def __init__(self, chip: Chip, server: ProbeServer, uart: Uart) -> None:
        self.unplugged = asyncio.Event()
        self._chip = chip
        self._server = server
        self._uart = uart
        self._faults: dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, None]]] = {
            "flip_bit": self._flip_bit,
            "slow": self._slow,
            "disconnect": self._disconnect,
            "reconnect": self._reconnect,
            "unplug": self._unplug,
        }

    @property
    def probe(self) -> str:
        """The probe's unique id for pyocd."""
        return f"remote:{HOST}:{self._server.port}"

    async def reset(self, mode: ResetMode) -> None:
        """Pull NRST. The F405's serial boot loader isn't modelled, so there is no download mode."""
        if mode != "run":
            raise BoardError("this board has no download mode: it is flashed through its debug probe")
        if not self._chip.powered:
            raise BoardError("the board has no power")
        await self._chip.system_reset()

    async def power(self, on: bool) -> None:
        """Switch the chip's supply; the probe has its own."""
        await (self._chip.power_on() if on else self._chip.power_off())

    async def fault(self, kind: str, arguments: dict[str, Any]) -> None:
        """Make something go wrong."""
        known = self._faults.get(kind)
        if known is None:
            raise BoardError(f"this board doesn't know the fault {kind!r}; it knows {', '.join(sorted(self._faults))}")
        await known(arguments)

    def status(self) -> dict[str, Any]:
        """JSON types only."""
        chip = self._chip
        return {
            "running": chip.state is CoreState.APP,
            "powered": chip.powered,
            "core": chip.state.value,
            "flash_sha256": chip.flash_sha256(),
            "crash": chip.app.explain() or chip.fault,
            "boots": chip.app.starts,
            "app_pid": chip.app.pid,
            "probe": self.probe,
            "probe_listening": self._server.listening,
            "programmed_bytes": chip.controller.programmed_bytes,
            "erased_sectors": chip.controller.erased_sectors,
            "dropped_uart_bytes": self._uart.dropped_bytes,
        }

    async def _flip_bit(self, arguments: dict[str, Any]) -> None:
        offset = integer(arguments, "address") - FLASH_BASE
        bit = integer(arguments, "bit") if "bit" in arguments else 0
        if not 0 <= offset < FLASH_BYTES or not 0 <= bit < 8:
            raise BoardError(
                f"flip_bit needs an address in flash ({FLASH_BASE:#x}, {FLASH_BYTES} bytes) and a bit from 0 to 7"
            )
        self._chip.controller.flips.append(BitFlip(offset=offset, bit=bit))

    async def _slow(self, arguments: dict[str, Any]) -> None:
        rate = integer(arguments, "bytes_per_s")
        if rate < 0:
            raise BoardError("bytes_per_s is a positive number, or 0 for full speed")
        self._chip.slow_bytes_per_s = rate or None

    async def _disconnect(self, _arguments: dict[str, Any]) -> None:
        await self._server.disconnect()

    async def _reconnect(self, _arguments: dict[str, Any]) -> None:
        try:
            await self._server.listen()
        except OSError as error:
            raise BoardError(f"the probe's port {self._server.port} can't be opened again: {error}") from error

    async def _unplug(self, _arguments: dict[str, Any]) -> None:
        self.unplugged.set()


@asynccontextmanager
async def open_board(place: Place, uart: Uart) -> AsyncIterator[Stm32Board]:
    """Power the board up; on leaving, its QEMU and its port are gone and its flash file is complete."""
    with flash_cells(place.flash_file) as cells:
        async with asyncio.TaskGroup() as tasks:
            chip = Chip(name=place.name, cells=cells, app=App(uart, place.flash_file), tasks=tasks)
            server = ProbeServer(Probe(chip), tasks)
            try:
                await chip.power_on()
                await server.listen()
                yield Stm32Board(chip, server, uart)
            finally:
                await server.disconnect()
                await chip.close()


@contextmanager
def flash_cells(path: Path) -> Iterator[mmap.mmap]:
    """The flash array, mapped from its file: what was programmed is in the file, however the process ends.

    A new file is an erased flash; a file of another size is refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.stat().st_size == 0:
        path.write_bytes(b"\xff" * FLASH_BYTES)
    if path.stat().st_size != FLASH_BYTES:
        raise BoardError(f"the flash file {path} has {path.stat().st_size} bytes, this chip's flash {FLASH_BYTES}")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), FLASH_BYTES) as cells:
        yield cells
