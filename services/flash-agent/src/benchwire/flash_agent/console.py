"""The monitor of one board's serial port: what the board prints, line by line, as live samples.

The port is read on the event loop, without a thread: its file descriptor tells when there is something. Nobody else may have the port at
the same time, except a flash tool, for which the monitor lets go of it.
"""

import asyncio
import contextlib
import logging
import termios
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import serial

from benchwire.events.live import SerialLine
from benchwire.flash_agent.lines import LineSplitter

log = logging.getLogger(__name__)

PARTIAL_LINE_S = 0.5
REOPEN_S = 0.25
READ_BYTES = 4096
# Beyond this, the port is not read until lines have been sent: a board that floods its line slows down itself, not the lab.
WAITING_LINES = 1000

# pyserial lets some of termios' errors through, as when a board is unplugged while its port is opened; they are no OSError.
_PORT_ERRORS = (serial.SerialException, OSError, termios.error)

Send = Callable[[SerialLine], Awaitable[None]]


class Console:
    """One port. ``run`` is its task; the other methods belong to whoever flashes the board."""

    def __init__(self, *, host: str, device: str, port: str, baud: int, send: Send) -> None:
        self._host = host
        self._device = device
        self._port = port
        self._baud = baud
        self._send = send
        self._serial: serial.Serial | None = None
        self._splitter = LineSplitter()
        self._job_id: str | None = None
        self._number = 0
        self._lines: asyncio.Queue[SerialLine] = asyncio.Queue()
        self._partial_timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._opened = asyncio.Event()
        self._lost = asyncio.Event()
        self._complained = ""

    @property
    def is_open(self) -> bool:
        """Whether the port is being read."""
        return self._serial is not None

    async def run(self) -> None:
        """Reads the port whenever it is there and not lent, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._sending())
                tasks.create_task(self._keeping_open())
        finally:
            self._close()

    async def _keeping_open(self) -> None:
        while True:
            await self._wanted.wait()
            if not self._open():
                await asyncio.sleep(REOPEN_S)
                continue
            await self._lost.wait()
            if self._lost.is_set():  # not when it was lent and is back already
                self._close()
                await asyncio.sleep(REOPEN_S if self._wanted.is_set() else 0)

    def _open(self) -> bool:
        """Opens the port, unless it is open. Whatever came before is not of the board as it is now, and is dropped by pyserial."""
        if self._serial is not None:
            return True
        try:
            # A second program on the port would take half of the bytes away, so it is opened for us alone.
            self._serial = serial.Serial(self._port, self._baud, timeout=0, exclusive=True)
        except _PORT_ERRORS as error:
            self._complain(f"{self._port} cannot be opened: {error}")
            return False
        self._complained = ""
        self._lost.clear()
        self._opened.set()
        self._read_on()
        return True

    def _complain(self, sentence: str) -> None:
        if sentence != self._complained:
            self._complained = sentence
            log.warning("%s: %s", self._device, sentence)

    def _close(self) -> None:
        if self._serial is None:
            return
        self._read_off()
        self._flush()
        with contextlib.suppress(OSError):  # of a port that is gone there is nothing to restore
            self._serial.close()
        self._serial = None
        self._opened.clear()
        self._lost.set()

    def release(self) -> None:
        """Lets go of the port, so that a flash tool can have it; ``resume`` takes it again."""
        self._wanted.clear()
        self._close()

    async def resume(self, *, timeout_s: float = 3.0) -> bool:
        """Takes the port again. Whether that succeeded in time; if not, the monitor keeps trying."""
        self._wanted.set()
        end = asyncio.get_running_loop().time() + timeout_s
        while not self._open():
            if asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(REOPEN_S / 5)
        return True

    def booting(self, job_id: str | None) -> None:
        """The board is about to be reset: what it printed up to now belongs to before, what comes belongs to ``job_id``."""
        self._read()
        self._flush()
        self._job_id = job_id

    async def pull_reset(self) -> None:
        """Resets the board through the port's modem lines; RTS pulls EN low on boards with an auto-program circuit."""
        if self._serial is None:
            raise serial.SerialException(f"{self._port} is not open")
        self._serial.dtr = False  # IO0 high: boot from flash
        self._serial.rts = True
        await asyncio.sleep(0.1)
        self._serial.rts = False

    # -- reading

    def _read_on(self) -> None:
        if self._serial is not None and not self._reading:
            asyncio.get_running_loop().add_reader(self._serial.fileno(), self._read)
            self._reading = True

    def _read_off(self) -> None:
        if self._serial is not None and self._reading:
            asyncio.get_running_loop().remove_reader(self._serial.fileno())
        self._reading = False
        if self._partial_timer is not None:
            self._partial_timer.cancel()
            self._partial_timer = None

    def _read(self) -> None:
        if self._serial is None:
            return
        try:
            data = self._serial.read(READ_BYTES)
        except _PORT_ERRORS as error:
            self._complain(f"{self._port} is gone: {error}")
            self._read_off()
            self._lost.set()
            return
        for line in self._splitter.feed(data):
            self._printed(line)
        if self._partial_timer is not None:
            self._partial_timer.cancel()
        wait = asyncio.get_running_loop().call_later
        self._partial_timer = wait(PARTIAL_LINE_S, self._flush) if self._splitter.has_partial else None
        if self._lines.qsize() > WAITING_LINES:
            self._read_off()

    def _flush(self) -> None:
        line = self._splitter.flush()
        if line is not None:
            self._printed(line)

    def _printed(self, line: str) -> None:
        self._number += 1
        self._lines.put_nowait(
            SerialLine(
                timestamp=datetime.now(UTC), host=self._host, device=self._device, line=line, number=self._number,
                job_id=self._job_id,
            )
        )  # fmt: skip

    async def _sending(self) -> None:
        while True:
            await self._send(await self._lines.get())
            if not self._reading and self._opened.is_set() and not self._lost.is_set() and self._lines.empty():
                self._read_on()
