"""The whole chip: bus, debug registers, CPU and running firmware, and the transitions between their states."""

import asyncio
import hashlib
import mmap
import struct
import time
import uuid
from collections.abc import Callable, Iterator

from benchwire.boards.virtual.stm32.app import App
from benchwire.boards.virtual.stm32.core import REGISTER_PC, BusFault, Core, Slice, Stop
from benchwire.boards.virtual.stm32.debug import DFSR_BKPT, DFSR_HALTED, CoreState, DebugRegisters, Order
from benchwire.boards.virtual.stm32.flash import FlashController
from benchwire.boards.virtual.stm32.layout import (
    FLASH_BASE,
    FLASH_BYTES,
    FLASH_CONTROLLER_BASE,
    FLASH_CONTROLLER_BYTES,
    FLASH_SIZE_OFFSET,
    PERIPHERAL_BASE,
    PERIPHERAL_BYTES,
    PPB_BASE,
    PPB_BYTES,
    SYSTEM_BYTES,
    UNIQUE_ID_OFFSET,
)

# The CPU runs in slices on the event loop; their length follows the clock, so that nobody else waits long.
SLICE_S = 0.004
MIN_SLICE, MAX_SLICE = 500, 2_000_000

ERASED_VECTOR = 0xFFFF_FFFF


class Chip:
    """Made, powered and driven from one event loop; `close` gives everything back."""

    def __init__(self, *, name: str, cells: mmap.mmap, app: App, tasks: asyncio.TaskGroup) -> None:
        self.controller = FlashController(cells)
        self.app = app
        self.powered = False
        self.fault: str | None = None
        self.slow_bytes_per_s: int | None = None
        self._cells = cells
        self._view = memoryview(cells)
        self._core = Core(self._view, self.controller, system_memory(name))
        self._debug = DebugRegisters(self._core)
        self._tasks = tasks
        self._running: asyncio.Task[None] | None = None
        # debugger, control socket and power switch may order at the same time; one transition at a time
        self._turn = asyncio.Lock()

    @property
    def state(self) -> CoreState:
        """What the core does."""
        self._notice_crash()
        return self._debug.state

    def flash_sha256(self) -> str:
        """SHA-256 of the whole flash array, hex."""
        return hashlib.sha256(self._cells).hexdigest()

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
        if PPB_BASE <= address < PPB_BASE + PPB_BYTES:
            self._notice_crash()
            return self._read_words(address, size, self._debug.read)
        if PERIPHERAL_BASE <= address < PERIPHERAL_BASE + PERIPHERAL_BYTES:
            return self._read_words(address, size, self._read_peripheral)
        return self._core.read(address, size)

    async def write(self, address: int, data: bytes, *, width: int) -> None:
        """A bus write of `data` in accesses of `width` bytes. Raises `BusFault`."""
        if FLASH_BASE <= address < FLASH_BASE + FLASH_BYTES:
            for start in range(0, len(data), width):
                self.controller.program(address + start - FLASH_BASE, data[start : start + width])
        elif PPB_BASE <= address < PPB_BASE + PPB_BYTES:
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
        if FLASH_BASE <= program_counter < FLASH_BASE + FLASH_BYTES or program_counter == ERASED_VECTOR & ~1:
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
        await self.app.start(self._tasks)

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
            programmed_bytes = self.controller.programmed_bytes
            began = time.monotonic()
            result = self._core.run(count)
            took_s = time.monotonic() - began
            count = max(MIN_SLICE, count // 2) if took_s > SLICE_S else min(MAX_SLICE, count * 2)
            pause_s = 0.0
            if self.slow_bytes_per_s is not None:
                count = MIN_SLICE
                pause_s = (self.controller.programmed_bytes - programmed_bytes) / self.slow_bytes_per_s
            await asyncio.sleep(pause_s)
        self._settle(result)

    def _settle(self, result: Slice) -> None:
        if result.stop is Stop.FAULT or not self._debug.debugging:
            self.fault = result.fault or "a breakpoint instruction, and no debugger"
            self._debug.state = CoreState.LOCKUP
            return
        self._debug.state = CoreState.HALTED
        self._debug.halted_by(DFSR_BKPT if result.stop is Stop.BREAKPOINT else DFSR_HALTED)

    def _read_peripheral(self, address: int) -> int:
        register = address - FLASH_CONTROLLER_BASE
        return self.controller.read(register) if 0 <= register < FLASH_CONTROLLER_BYTES else 0

    def _write_peripheral(self, address: int, value: int) -> None:
        register = address - FLASH_CONTROLLER_BASE
        if 0 <= register < FLASH_CONTROLLER_BYTES:
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


def system_memory(name: str) -> bytes:
    """The factory's part of the memory: a unique id that follows from the board's name, and the flash size in KiB."""
    memory = bytearray(b"\xff" * SYSTEM_BYTES)
    memory[UNIQUE_ID_OFFSET : UNIQUE_ID_OFFSET + 12] = uuid.uuid5(uuid.NAMESPACE_URL, f"stm32f405:{name}").bytes[:12]
    struct.pack_into("<H", memory, FLASH_SIZE_OFFSET, FLASH_BYTES // 1024)
    return bytes(memory)
