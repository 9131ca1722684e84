"""A virtual board of the ESP32 family: a UART, a reset line with a strapping pin, a supply, and a flash that stays.

What can go wrong with it stands in `faults.py`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, Protocol

from benchwire.boards.virtual.board import BoardError, Place, ResetMode
from benchwire.boards.virtual.emulated import Emulation, Ending, let_go
from benchwire.boards.virtual.esp import slip
from benchwire.boards.virtual.esp.boot import NOT_RUN, boot, download_log
from benchwire.boards.virtual.esp.chips import CHIPS, Chip
from benchwire.boards.virtual.esp.faults import Faults
from benchwire.boards.virtual.esp.loader import Loader, Reboot, RunRam
from benchwire.boards.virtual.esp.network import reachable
from benchwire.boards.virtual.esp.nor import Nor
from benchwire.boards.virtual.esp.ram import Ram
from benchwire.boards.virtual.registry import serial_number_of
from benchwire.boards.virtual.uart import Uart


class Runner(Protocol):
    """What makes runs of apps."""

    def __call__(self, ram: Ram, entry: int, *, mac: bytes, send: Callable[[bytes], None]) -> Emulation:
        """A run of the code at `entry`; `send` gets what it prints, in a thread of its own."""


def mac_of(name: str) -> bytes:
    """The MAC in the eFuses of the board called `name`: its serial number, marked as locally administered."""
    number = bytes.fromhex(serial_number_of(name))
    return bytes([(number[0] & 0xFC) | 0x02]) + number[1:]


@asynccontextmanager
async def open_board(place: Place, uart: Uart) -> AsyncIterator["EspBoard"]:
    """Power the board up: it boots its flash. Raises `BoardError` when the flash file can't be its flash."""
    with ExitStack() as opened:
        nor = opened.enter_context(Nor.open(place.flash_file))
        chip = CHIPS[place.profile]
        # One thread, because the chip has one core; an app is always stopped before the next one starts.
        core = opened.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="core"))
        async with asyncio.TaskGroup() as tasks:
            board = EspBoard(
                chip, nor=nor, uart=uart, mac=mac_of(place.name), runner=_runner_of(chip), core=core, tasks=tasks
            )
            async with reachable(uart, board.pulled) as urls:
                board.socket, board.rfc2217 = urls.socket, urls.rfc2217
                await board.power(on=True)
                try:
                    yield board
                finally:
                    await board.power(on=False)


def _runner_of(chip: Chip) -> Runner | None:
    """What runs the chip's apps, where anything does; with the emulator, which is a lot for a board that can't use it."""
    if not chip.runs_apps:
        return None
    from benchwire.boards.virtual.esp.c3.app import app  # noqa: PLC0415

    return app


class EspBoard:
    """One board that is plugged in."""

    probe: str | None = None
    socket: str
    rfc2217: str

    def __init__(
        self,
        chip: Chip,
        *,
        nor: Nor,
        uart: Uart,
        mac: bytes,
        runner: Runner | None,
        core: ThreadPoolExecutor,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._chip = chip
        self._runner = runner
        self._nor = nor
        self._faults = Faults(nor)
        self._uart = uart
        self._mac = mac
        self._core = core
        self._tasks = tasks
        self._ram = Ram(chip.ram)
        self._turn = asyncio.Lock()  # hands on the board and the wires of an adapter may reset it at the same time
        self._powered = False
        self._pin: ResetMode = "run"  # how somebody holds the strapping pin
        self._strap: ResetMode = "run"  # how it was read last
        self._state = "off"
        self._reason: str | None = None
        self._activity: asyncio.Task[None] | None = None  # what the chip is doing: its loader or an app
        self._app: Emulation | None = None
        self._resets = 0
        self._listen: Callable[[bytes], None] | None = None
        uart.on_receive(self._arrived)

    @property
    def unplugged(self) -> asyncio.Event:
        """Set when a fault pulled the cable."""
        return self._faults.unplugged

    async def reset(self, mode: ResetMode) -> None:
        """Pull EN while the strapping pin says `mode`."""
        async with self._turn:
            if not self._powered:
                raise BoardError("the board has no power")
            await self._stop()
            self._start(mode)

    async def pulled(self, mode: ResetMode) -> None:
        """An adapter's wires reset the chip; without power nothing comes of that."""
        with suppress(BoardError):
            await self.reset(mode)

    async def strap(self, mode: ResetMode) -> None:
        """Hold the strapping pin, or ("run") let it go."""
        self._pin = mode

    async def power(self, on: bool) -> None:
        """Switch the supply. It ends what is wrong with the board."""
        async with self._turn:
            if on == self._powered:
                return
            self._powered = on
            await self._stop()
            self._ram.clear()
            self._faults.end()
            if on:
                self._start("run")
            else:
                self._state, self._reason = "off", None

    async def fault(self, kind: str, arguments: dict[str, Any]) -> None:
        """Make something go wrong."""
        self._faults.begin(kind, arguments)

    def status(self) -> dict[str, Any]:
        """`state` is off, loader, stub, app, halted, crashed, refused or loaded; `reason` tells more about the last four.

        "loaded" is an app that can't be run, as there is no core of its kind. `strap` is how the pin was read at the
        last reset, `pin` how it is held now.
        """
        return {
            "running": self._state == "app",
            "powered": self._powered,
            "state": self._state,
            "reason": self._reason,
            "strap": self._strap,
            "pin": self._pin,
            "mac": self._mac.hex(":"),
            "flash_sha256": self._nor.sha256(),
            "resets": self._resets,
            "muted": self._faults.muted,
            "bytes_per_s": self._faults.bytes_per_s,
            "uart_lost_bytes": 0 if self._app is None else self._app.lost_bytes,
            "tty_dropped_bytes": self._uart.dropped_bytes,
        }

    # -- one reset to the next

    def _start(self, mode: ResetMode) -> None:
        self._strap = "download" if "download" in (mode, self._pin) else "run"
        self._resets += 1
        self._activity = self._tasks.create_task(self._live(self._strap))

    async def _stop(self) -> None:
        self._listen = None
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.cancel()
            await asyncio.gather(activity, return_exceptions=True)
        if self._app is not None:
            self._app = None
            let_go()

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
        found = boot(self._chip, self._nor, self._ram)
        self._print(found.log.encode())
        if found.entry is None:
            self._state, self._reason = "refused", found.refusal
        else:
            await self._run(found.entry)

    async def _run(self, entry: int) -> None:
        if self._runner is None:
            self._listen = None
            self._state, self._reason = "loaded", NOT_RUN
            self._print(f"{NOT_RUN}\r\n".encode())
            return
        loop = asyncio.get_running_loop()

        def send(data: bytes) -> None:
            loop.call_soon_threadsafe(self._printed_by, app, data)

        app = self._runner(self._ram, entry, mac=self._mac, send=send)
        self._app = app
        self._state, self._reason = "app", None
        self._listen = app.feed
        self._ended(await app.run_in(self._core))

    def _ended(self, ending: Ending) -> None:
        self._state, self._reason = ending.kind, ending.reason
        if ending.kind == "crashed":
            self._print(f"\r\n{ending.reason}\r\n".encode())
            self._print(b"The app is halted until the next reset.\r\n")

    # -- the line

    def _arrived(self, data: bytes) -> None:
        data = self._faults.arrived(data)
        if self._listen is not None and not self._faults.muted:
            self._listen(data)

    def _printed_by(self, app: Emulation, data: bytes) -> None:
        if self._app is app:  # what an app printed just before a reset doesn't come after it
            self._print(data)

    def _print(self, data: bytes) -> None:
        if not self._faults.muted:
            self._uart.write(data)

    # -- the loader

    async def _load(self) -> Reboot | RunRam:
        """Answer the host until it makes the chip leave its loader."""
        arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._listen = arrived.put_nowait
        self._state, self._reason = "loader", None
        self._print(download_log(self._chip).encode())
        loader = Loader(self._chip, self._nor, self._ram, self._mac, self._faults)
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
        if self._faults.bytes_per_s:
            await asyncio.sleep(size_bytes / self._faults.bytes_per_s)
