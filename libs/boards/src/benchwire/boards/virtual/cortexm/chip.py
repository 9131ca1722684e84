"""The whole chip: bus, debug registers, CPU and running firmware, and the transitions between their states."""

import asyncio
import mmap
import struct
import time
from collections.abc import Callable, Iterator

from benchwire.boards.virtual.cortexm.app import App, CannotRun
from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.cortexm.core import (
    PERIPHERAL_BASE,
    PERIPHERAL_BYTES,
    PRIVATE_BASE,
    PRIVATE_BYTES,
    REGISTER_PC,
    Core,
    Slice,
    Stop,
)
from benchwire.boards.virtual.cortexm.debug import DFSR_BKPT, DFSR_HALTED, CoreState, DebugRegisters, Order
from benchwire.boards.virtual.cortexm.description import Description
from benchwire.boards.virtual.flash_array import FlashArray

# The CPU runs in slices on the event loop; their length follows the clock, so that nobody else waits long.
SLICE_S = 0.004
MIN_SLICE, MAX_SLICE = 500, 2_000_000

ERASED_VECTOR = 0xFFFF_FFFF


class Chip:
    """Made, powered and driven from one event loop; `close` gives everything back."""

    def __init__(
        self, description: Description, *, board: str, cells: mmap.mmap, app: App, tasks: asyncio.TaskGroup
    ) -> None:
        self.description = description
        self.array = FlashArray(cells)
        self.controller = description.controller(self.array)
        self.app = app
        self.powered = False
        self.muted = False
        self.fault: str | None = None
        self.slow_bytes_per_s: int | None = None
        self._cells = cells
        self._view = memoryview(cells)
        factory = description.factory_bytes(board)
        self._core = Core(description, self._view, self.array, self.controller, factory)
        self._debug = DebugRegisters(self._core, description)
        self._tasks = tasks
        self._running: asyncio.Task[None] | None = None
        # debugger, control socket and power switch may order at the same time; one transition at a time
        self._turn = asyncio.Lock()

    @property
    def state(self) -> CoreState:
        """What the core does."""
        self._notice_crash()
        return self._debug.state

    @property
    def identity(self) -> Description:
        """The chip that a debugger finds here: its own description, unless it poses as another."""
        return self._debug.identity

    def pose_as(self, other: Description) -> None:
        """Answer with the ids of another chip from now on; memories and flash controller stay what they are."""
        self._debug.identity = other

    async def power_on(self) -> None:
        """RAM is empty, the debugger's settings are gone, the firmware boots."""
        async with self._turn:
            if not self.powered:
                self.powered = True
                self._core.reset(clear_ram=True)
                self._debug.power_on()
                await self._reset()

    async def power_off(self) -> None:
        """Everything stops; flash keeps its bytes."""
        async with self._turn:
            await self._stop()
            self.powered = False
            self.fault = None

    async def close(self) -> None:
        """Power off and let go of the flash array's buffer."""
        await self.power_off()
        self._core.release()
        self._view.release()

    async def hold_in_reset(self) -> None:
        """The reset line is low: nothing runs until a `system_reset`."""
        async with self._turn:
            await self._stop()

    async def system_reset(self) -> None:
        """Reset, then halt at the reset vector if the debugger asked for that, else boot."""
        async with self._turn:
            await self._reset()

    def read(self, address: int, size: int) -> bytes:
        """What a bus read gives. Raises `BusFault`."""
        if self._is_debug(address):
            self._notice_crash()
            return self._read_words(address, size, self._debug.read)
        if PERIPHERAL_BASE <= address < PERIPHERAL_BASE + PERIPHERAL_BYTES:
            return self._read_words(address, size, self._read_peripheral)
        return self._core.read(address, size)

    async def write(self, address: int, data: bytes, *, width: int) -> None:
        """A bus write of `data` in accesses of `width` bytes. Raises `BusFault`."""
        offset = self.description.offset_of(address, len(data))
        if offset is not None:
            for start in range(0, len(data), width):
                self.controller.program(offset + start, data[start : start + width])
        elif self._is_debug(address):
            for word_address, word in words(address, data):
                await self._obey(self._debug.write(word_address, word))
        elif PERIPHERAL_BASE <= address < PERIPHERAL_BASE + PERIPHERAL_BYTES:
            for word_address, word in words(address, data):
                self._write_peripheral(word_address, word)
        else:
            self._core.write(address, data)

    def read_word(self, address: int) -> int:
        """One word off the bus."""
        return int.from_bytes(self.read(address, 4), "little")

    async def write_word(self, address: int, value: int) -> None:
        """One word onto the bus."""
        await self.write(address, value.to_bytes(4, "little"), width=4)

    async def _obey(self, order: Order | None) -> None:
        if order is None:
            return
        async with self._turn:
            match order:
                case Order.RESET:
                    await self._reset()
                case Order.HALT:
                    await self._halt()
                case Order.STEP:
                    self._step()
                case Order.RESUME:
                    await self._resume()

    async def _reset(self) -> None:
        await self._stop()
        self.controller.reset()
        self._core.reset(clear_ram=False)
        self._debug.system_reset()
        if self._debug.catches_reset:
            self._debug.state = CoreState.HALTED
        else:
            await self._boot()

    async def _halt(self) -> None:
        was_algorithm = self.state is CoreState.ALGORITHM
        await self._stop()
        if not was_algorithm:
            # the emulator's registers are out of reach: a halted program has to start over
            self._core.reset(clear_ram=False)
        self._debug.state = CoreState.HALTED
        self._debug.halted_by(DFSR_HALTED)

    async def _resume(self) -> None:
        program_counter = self._core.read_register(REGISTER_PC)
        if self.description.offset_of(program_counter) is not None or program_counter == ERASED_VECTOR & ~1:
            await self._boot()
            return
        self._debug.state = CoreState.ALGORITHM
        self._core.prepare()
        self._running = self._tasks.create_task(self._run_algorithm(), name="algorithm")

    async def _boot(self) -> None:
        self.fault = None
        if self._erased():
            self._debug.state = CoreState.LOCKUP
            return
        self._debug.state = CoreState.APP
        try:
            await self.app.start(bytes(self._cells[: self.description.flash[0].size_bytes]), self._tasks)
        except CannotRun as error:
            self.fault = str(error)
            self._debug.state = CoreState.LOCKUP

    def _notice_crash(self) -> None:
        if self._debug.state is CoreState.APP and not self.app.running:
            self._debug.state = CoreState.LOCKUP

    def _erased(self) -> bool:
        return ERASED_VECTOR in self._core.vectors()

    async def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.wait([running])
        await self.app.stop()
        self._debug.state = CoreState.LOCKUP

    def _step(self) -> None:
        self._core.prepare()
        self._settle(self._core.run(1))

    async def _run_algorithm(self) -> None:
        count = MIN_SLICE
        result = Slice(stop=Stop.SPENT)
        while result.stop is Stop.SPENT:
            programmed_bytes = self.array.programmed_bytes
            began = time.monotonic()
            result = self._core.run(count)
            took_s = time.monotonic() - began
            count = max(MIN_SLICE, count // 2) if took_s > SLICE_S else min(MAX_SLICE, count * 2)
            pause_s = 0.0
            if self.slow_bytes_per_s is not None:
                count = MIN_SLICE
                pause_s = (self.array.programmed_bytes - programmed_bytes) / self.slow_bytes_per_s
            await asyncio.sleep(pause_s)
        self._settle(result)

    def _settle(self, result: Slice) -> None:
        if result.stop is Stop.FAULT or not self._debug.debugging:
            self.fault = result.fault or "a breakpoint instruction, and no debugger"
            self._debug.state = CoreState.LOCKUP
            return
        self._debug.state = CoreState.HALTED
        self._debug.halted_by(DFSR_BKPT if result.stop is Stop.BREAKPOINT else DFSR_HALTED)

    def _is_debug(self, address: int) -> bool:
        in_private = PRIVATE_BASE <= address < PRIVATE_BASE + PRIVATE_BYTES
        return in_private or address & ~0xFFF in self.identity.rom_tables

    def _read_peripheral(self, address: int) -> int:
        register = self.description.register_of(address)
        return 0 if register is None else self.controller.read(register)

    def _write_peripheral(self, address: int, value: int) -> None:
        register = self.description.register_of(address)
        if register is not None:
            self.controller.write(register, value)

    @staticmethod
    def _read_words(address: int, size: int, reader: Callable[[int], int]) -> bytes:
        first = address & ~3
        last = (address + size + 3) & ~3
        read = b"".join(reader(word).to_bytes(4, "little") for word in range(first, last, 4))
        return read[address - first : address - first + size]


def words(address: int, data: bytes) -> Iterator[tuple[int, int]]:
    """The (address, value) pairs of a register write. Raises `BusFault` when it isn't made of aligned words."""
    if address % 4 or len(data) % 4:
        raise BusFault(f"registers at {address:#010x} take aligned words only")
    return (
        (address + start, value)
        for start, (value,) in zip(range(0, len(data), 4), struct.iter_unpack("<I", data), strict=True)
    )
