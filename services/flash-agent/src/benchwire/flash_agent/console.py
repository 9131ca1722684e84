"""The monitor of one board's serial port: what the board prints, line by line, as live samples; and what is written to it.

The port is always read, however fast lines come: those that cannot be sent so fast are dropped, whole, and counted (see
``lines.Backlog``). Nobody else may have the port at the same time, except a flash tool, for which the monitor lets go of it.

A line is stamped with the time at which its first byte was read, so lines that were read at once share theirs. A line without an end, as a
prompt, is taken for whole when nothing follows for half a second.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import serial

from benchwire.events.live import SerialLine
from benchwire.flash_agent.errors import PortBusy, PortClosed, WriteBroke
from benchwire.flash_agent.lines import Backlog, LineSplitter, sample_of
from benchwire.flash_agent.ports.opening import opened
from benchwire.flash_agent.ports.port import PORT_ERRORS, Port, PortGone, PortStuck

log = logging.getLogger(__name__)

PARTIAL_LINE_S = 0.5
REOPEN_S = 0.25
WRITE_S = 20.0
_BATCH = 200  # lines; what the loop does in one go
_LATER_S = 0.05

Send = Callable[[Sequence[SerialLine]], Awaitable[int]]
Tap = Callable[[bytes, int], None]
Lines = tuple[bool, bool, float]  # DTR, RTS, and for how long


class Console:
    """One port. ``run`` is its task; the other methods belong to whoever has business with the board.

    ``send`` takes lines and returns how many of them it took. ``tap`` hears every byte, and how many were lost right before it.
    """

    def __init__(self, *, host: str, device: str, port: str, baud: int, send: Send, tap: Tap) -> None:
        self._host = host
        self._device = device
        self._path = port
        self._baud = baud
        self._send = send
        self._tap = tap
        self._port: Port | None = None
        self._splitter = LineSplitter()
        self._backlog = Backlog()
        self._printed = asyncio.Event()
        self._job_id: str | None = None
        self._partial_timer: asyncio.TimerHandle | None = None
        self._opening = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._lost = asyncio.Event()
        self._over = False
        self._complained = ""

    @property
    def is_open(self) -> bool:
        """Whether the port is being read."""
        return self._port is not None

    @property
    def is_lent(self) -> bool:
        """Whether a flash tool has the port."""
        return not self._wanted.is_set()

    async def run(self) -> None:
        """Reads the port whenever it is there and not lent, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._sending())
                tasks.create_task(self._keeping_open())
        finally:
            self.end()

    def end(self) -> None:
        """Lets go of the port for good: the board is gone, and what appears at the same path has a monitor of its own."""
        self._over = True
        self._close()

    async def _keeping_open(self) -> None:
        while True:
            await self._wanted.wait()
            if not await self._open():
                await asyncio.sleep(REOPEN_S)
                continue
            await self._lost.wait()
            if self._lost.is_set():  # not when it was lent and is back already
                self._close()
                await asyncio.sleep(REOPEN_S if self._wanted.is_set() else 0)

    async def _open(self) -> bool:
        """Opens the port, unless it is open or lent, or the board is gone; whether it is open then."""
        async with self._opening:
            if self._port is not None or self.is_lent or self._over:
                return self._port is not None
            try:
                port = await opened(self._path, self._baud, self._heard, self._gone)
            except PORT_ERRORS as error:
                self._complain(f"{self._path} cannot be opened: {error}")
                return False
            if not self._wanted.is_set() or self._over:  # somebody asked for it meanwhile
                port.close()
                return False
            self._port, self._complained = port, ""
            self._lost.clear()
            return True

    def _complain(self, sentence: str) -> None:
        if sentence != self._complained:
            self._complained = sentence
            log.warning("%s: %s", self._device, sentence)

    def _close(self) -> None:
        if self._port is None:
            return
        self._flush()
        self._port.close()
        self._port = None
        self._lost.set()

    def release(self) -> None:
        """Lets go of the port, so that a flash tool can have it; ``resume`` takes it again."""
        self._wanted.clear()
        self._close()

    async def resume(self, *, timeout_s: float = 3.0) -> bool:
        """Takes the port again. Whether that succeeded in time; if not, the monitor keeps trying."""
        self._wanted.set()
        end = asyncio.get_running_loop().time() + timeout_s
        while not await self._open():
            if self._over or asyncio.get_running_loop().time() > end:
                return False
            await asyncio.sleep(REOPEN_S / 5)
        return True

    def booting(self, job_id: str | None) -> None:
        """The board is about to be reset: what it printed up to now belongs to before, what comes belongs to ``job_id``."""
        if self._port is not None:
            self._port.drain()
        self._flush()
        self._job_id = job_id

    async def pull_lines(self, steps: Sequence[Lines]) -> None:
        """Moves the port's modem lines, step by step. Raises pyserial's errors, also when the port has none."""
        for dtr, rts, hold_s in steps:
            if self._port is None:
                raise serial.SerialException(f"{self._path} is not open")
            await self._port.set_lines(dtr=dtr, rts=rts)
            await asyncio.sleep(hold_s)

    # -- reading

    def _heard(self, data: bytes) -> None:
        if self._port is not None and (lost_bytes := self._port.overruns()):
            self._backlog.lose(lost_bytes)
            self._tap(data, lost_bytes)
        else:
            self._tap(data, 0)
        if lines := self._splitter.feed(data, datetime.now(UTC)):
            self._backlog.put(lines, self._job_id)
            self._printed.set()
        self._stop_timer()
        if self._splitter.partial:
            self._partial_timer = asyncio.get_running_loop().call_later(PARTIAL_LINE_S, self._flush)

    def _gone(self, why: str) -> None:
        self._complain(f"{self._path} is gone: {why}")
        self._lost.set()

    def _flush(self) -> None:
        """What waits for its line end has waited long enough."""
        self._stop_timer()
        if (line := self._splitter.flush()) is not None:
            self._backlog.put([line], self._job_id)
            self._printed.set()

    def _stop_timer(self) -> None:
        if self._partial_timer is not None:
            self._partial_timer.cancel()
            self._partial_timer = None

    async def _sending(self) -> None:
        while True:
            await self._printed.wait()
            self._printed.clear()
            while lines := self._backlog.take(_BATCH):
                samples = [sample_of(one, host=self._host, device=self._device) for one in lines]
                sent = await self._send(samples)
                self._backlog.put_back(lines[sent:])
                await asyncio.sleep(0 if sent else _LATER_S)

    # -- writing

    async def write(self, data: bytes) -> None:
        """Hands ``data`` to the board, after whatever is being written. Raises ``PortBusy``, ``PortClosed`` and ``WriteBroke``."""
        async with self._writing:
            if self.is_lent:
                raise PortBusy(self._device)
            if self._port is None:
                raise PortClosed(self._device, self._complained or f"{self._path} is not open")
            try:
                async with asyncio.timeout(WRITE_S):
                    await self._port.write(data)
            except TimeoutError:
                raise WriteBroke(self._device, len(data), f"the port took no more within {WRITE_S:g} s") from None
            except (PortStuck, PortGone) as error:
                raise WriteBroke(self._device, len(data), str(error)) from error
