"""The virtual ESP32-C3 as a board: a UART, a reset line with a strapping pin, a supply, and a flash that stays.

Faults: {"kind": "mute"} stops all answers and output until the next power cycle; {"kind": "flip_bit", "address": A}
programs the lowest bit of one flash byte wrong, once; {"kind": "slow", "bytes_per_s": N} limits the loader's line in
both directions (0: no limit); {"kind": "unplug"} pulls the cable.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from benchwire.boards.virtual.board import BoardError, Place, ResetMode, integer
from benchwire.boards.virtual.esp32c3 import slip
from benchwire.boards.virtual.esp32c3.app import App
from benchwire.boards.virtual.esp32c3.boot import DOWNLOAD_LOG, boot
from benchwire.boards.virtual.esp32c3.machine import Ending
from benchwire.boards.virtual.esp32c3.nor import Nor, NorError
from benchwire.boards.virtual.esp32c3.rom import Loader, Reboot, RunRam
from benchwire.boards.virtual.esp32c3.sram import Sram
from benchwire.boards.virtual.registry import serial_number_of
from benchwire.boards.virtual.uart import Uart

FAULTS = ("flip_bit", "mute", "slow", "unplug")


def mac_of(name: str) -> bytes:
    """The MAC in the eFuses of the board called `name`: its serial number, marked as locally administered."""
    number = bytes.fromhex(serial_number_of(name))
    return bytes([(number[0] & 0xFC) | 0x02]) + number[1:]


@asynccontextmanager
async def open_board(place: Place, uart: Uart) -> AsyncIterator["Esp32c3"]:
    """Power the board up: it boots its flash. Raises `BoardError` when the flash file can't be its flash."""
    with ExitStack() as opened:
        try:
            nor = opened.enter_context(Nor.open(place.flash_file))
        except (NorError, OSError) as error:
            raise BoardError(f"the flash can't be opened: {error}") from error
        # One thread, because the chip has one core; an app is always stopped before the next one starts.
        core = opened.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="core"))
        async with asyncio.TaskGroup() as tasks:
            board = Esp32c3(nor=nor, uart=uart, mac=mac_of(place.name), core=core, tasks=tasks)
            await board.power(on=True)
            try:
                yield board
            finally:
                await board.power(on=False)


class Esp32c3:
    """One board that is plugged in."""

    probe: str | None = None

    def __init__(self, *, nor: Nor, uart: Uart, mac: bytes, core: ThreadPoolExecutor, tasks: asyncio.TaskGroup) -> None:
        self.unplugged = asyncio.Event()
        self._nor = nor
        self._uart = uart
        self._mac = mac
        self._core = core
        self._tasks = tasks
        self._sram = Sram()
        self._powered = False
        self._muted = False
        self._line_bytes_per_s = 0
        self._strap: ResetMode = "run"
        self._state = "off"
        self._reason: str | None = None
        self._activity: asyncio.Task[None] | None = None  # what the chip is doing: its loader or an app
        self._app: App | None = None
        self._resets = 0

    async def reset(self, mode: ResetMode) -> None:
        """Pull EN while the strapping pin says `mode`."""
        if not self._powered:
            raise BoardError("the board has no power")
        self._strap = mode
        await self._stop()
        self._start(mode)

    async def power(self, on: bool) -> None:
        """Switch the supply; the strapping pin says "run" when it comes on."""
        if on == self._powered:
            return
        self._powered = on
        await self._stop()
        self._sram.clear()
        self._muted = False
        if on:
            self._strap = "run"
            self._start("run")
        else:
            self._state, self._reason = "off", None

    async def fault(self, kind: str, arguments: dict[str, Any]) -> None:
        """Make something go wrong; see the top of this module."""
        match kind:
            case "mute":
                self._muted = True
            case "flip_bit":
                try:
                    self._nor.flip_when_programmed(integer(arguments, "address"))
                except NorError as error:
                    raise BoardError(str(error)) from error
            case "slow":
                self._line_bytes_per_s = max(0, integer(arguments, "bytes_per_s"))
            case "unplug":
                self.unplugged.set()
            case _:
                raise BoardError(f"unknown fault {kind!r}; this board knows {', '.join(FAULTS)}")

    def status(self) -> dict[str, Any]:
        """`state` is one of off, loader, stub, app, halted, crashed, refused; `reason` tells more about the last three."""
        return {
            "running": self._state == "app",
            "powered": self._powered,
            "state": self._state,
            "reason": self._reason,
            "strap": self._strap,
            "mac": self._mac.hex(":"),
            "flash_sha256": self._nor.sha256(),
            "resets": self._resets,
            "muted": self._muted,
            "bytes_per_s": self._line_bytes_per_s,
            "uart_lost_bytes": 0 if self._app is None else self._app.lost_bytes,
            "tty_dropped_bytes": self._uart.dropped_bytes,
        }

    # -- one reset to the next

    def _start(self, mode: ResetMode) -> None:
        self._resets += 1
        self._activity = self._tasks.create_task(self._live(mode))

    async def _stop(self) -> None:
        self._uart.on_receive(None)
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.cancel()
            await asyncio.gather(activity, return_exceptions=True)
        if self._app is not None:
            self._app = None
            # An emulated core reserves a gigabyte of addresses, and its callbacks refer to it in a circle: without
            # this, quick resets pile cores up until the collector happens to come by.
            gc.collect()

    async def _live(self, mode: ResetMode) -> None:
        """What the chip does after a reset, software resets included, until somebody cancels it."""
        while True:
            then = await self._load() if mode == "download" else Reboot("run")
            if isinstance(then, RunRam):
                await self._run(then.entry)
                return
            mode = self._strap if then.into == "latched" else "run"
            self._strap = mode
            if mode == "run":
                await self._boot()
                return

    async def _boot(self) -> None:
        found = boot(self._nor, self._sram)
        self._print(found.log.encode())
        if found.entry is None:
            self._state, self._reason = "refused", found.refusal
        else:
            await self._run(found.entry)

    async def _run(self, entry: int) -> None:
        loop = asyncio.get_running_loop()

        def send(data: bytes) -> None:
            loop.call_soon_threadsafe(self._printed_by, app, data)

        app = App(self._sram, entry, mac=self._mac, send=send)
        self._app = app
        self._state, self._reason = "app", None
        self._uart.on_receive(lambda data: None if self._muted else app.feed(data))
        run = loop.run_in_executor(self._core, app.run)
        try:
            ending = await asyncio.shield(run)
        except asyncio.CancelledError:
            app.stop()
            await run  # soon: at the end of the slice under way
            raise
        self._ended(ending)

    def _ended(self, ending: Ending) -> None:
        self._state, self._reason = ending.kind, ending.reason
        if ending.kind == "crashed":
            self._print(f"\r\nGuru Meditation Error: Core  0 panic'ed ({ending.reason})\r\n".encode())
            self._print(b"The app is halted until the next reset.\r\n")

    def _printed_by(self, app: App, data: bytes) -> None:
        if self._app is app:  # what an app printed just before a reset doesn't come after it
            self._print(data)

    def _print(self, data: bytes) -> None:
        if not self._muted:
            self._uart.write(data)

    # -- the loader

    async def _load(self) -> Reboot | RunRam:
        """Answer the host until it makes the chip leave its loader."""
        arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._uart.on_receive(arrived.put_nowait)
        self._state, self._reason = "loader", None
        self._print(DOWNLOAD_LOG.encode())
        loader = Loader(self._nor, self._sram, self._mac)
        frames = slip.Deframer()
        watchdog_at: float | None = None
        while True:
            try:
                async with asyncio.timeout_at(watchdog_at):
                    data = await arrived.get()
            except TimeoutError:
                return Reboot("run")
            await self._line_time(len(data))
            for frame in frames.feed(data):
                await self._send(loader.answer(frame))
                self._state = "stub" if loader.in_stub else "loader"
                match loader.then:
                    case Reboot(after_s=after_s) if after_s > 0:
                        loader.then = None
                        watchdog_at = asyncio.get_running_loop().time() + after_s
                    case Reboot() | RunRam() as then:
                        return then

    async def _send(self, answers: list[bytes]) -> None:
        for answer in answers:
            line = slip.encode(answer)
            await self._line_time(len(line))
            self._print(line)

    async def _line_time(self, size_bytes: int) -> None:
        """Take the time that so many bytes need on a line made slow."""
        if self._line_bytes_per_s:
            await asyncio.sleep(size_bytes / self._line_bytes_per_s)
