"""Serial ports, opened: of this host, behind a socket, or behind RFC 2217. All are read without pause and written with a deadline.

A port that has a file descriptor (a tty, ``socket://``) is read by the event loop. One that has none (``rfc2217://``: pyserial speaks the
protocol in threads of its own) is read by a thread.
"""

import asyncio
import contextlib
import fcntl
import io
import os
import select
import struct
import termios
import threading
from collections.abc import Callable
from typing import Protocol

import serial

READ_BYTES = 64 << 10
STUCK_S = 2.0
_THREAD_WAKES_S = 0.1
_PIECE_BYTES = 1024  # the smallest number of written bytes that can be told
_NETWORK = ("socket://", "rfc2217://")
_TIOCGICOUNT = 0x545D  # asm-generic/ioctls.h
_ICOUNT = struct.Struct(
    "20i"
)  # struct serial_icounter_struct of linux/serial.h: cts dsr rng dcd rx tx frame overrun parity brk buf_overrun
_OVERRUN, _BUF_OVERRUN = 7, 10

# pyserial lets some of termios' errors through, as when a board is unplugged while its port is opened; they are no OSError.
PORT_ERRORS = (serial.SerialException, OSError, termios.error, ValueError)

Heard = Callable[[bytes], None]
Gone = Callable[[str], None]


class PortStuck(Exception):
    """The port took ``written`` bytes, and then nothing for a while."""

    def __init__(self, written: int) -> None:
        super().__init__(f"the port took {written} bytes, and then no more")
        self.written = written


class PortGone(Exception):
    """The port was closed, or vanished, after it took ``written`` bytes."""

    def __init__(self, written: int) -> None:
        super().__init__(f"the port was closed after it took {written} bytes")
        self.written = written


class Port(Protocol):
    """An open port. What it hears goes to ``heard``, on the event loop; that it is gone is told once, in a sentence."""

    def drain(self) -> None:
        """Hears what has come up to now."""

    def overruns(self) -> int:
        """How many characters the driver knows to have lost since it was asked last; at least so many, 0 when it does not tell."""

    async def write(self, data: bytes) -> None:
        """Hands ``data`` to the port. Raises ``PortStuck`` and ``PortGone``."""

    async def set_lines(self, *, dtr: bool, rts: bool) -> None:
        """Sets the modem lines. Raises ``PORT_ERRORS``, also when the port has none."""

    def close(self) -> None:
        """Lets go of it, at once."""


def is_network(port: str) -> bool:
    """Whether ``port`` is reached through the network."""
    return port.lower().startswith(_NETWORK)


async def opened(port: str, baud: int, heard: Heard, gone: Gone) -> Port:
    """Opens ``port``. Raises ``PORT_ERRORS``.

    Whatever came before is not of the board as it is now, and is dropped by pyserial.
    """
    opening = asyncio.ensure_future(asyncio.to_thread(_open, port, baud))
    try:
        device = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_unwanted)
        raise
    try:
        number = device.fileno()
    except io.UnsupportedOperation:
        return ThreadPort(device, heard, gone)
    return FilePort(device, number, heard, gone)


def _unwanted(opening: asyncio.Future[serial.Serial]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        _shut(opening.result())


def _open(port: str, baud: int) -> serial.Serial:
    if is_network(port):
        try:
            made: serial.Serial = serial.serial_for_url(port, baud, timeout=_THREAD_WAKES_S)
        except PORT_ERRORS:
            raise
        except Exception as error:
            raise serial.SerialException(f"{error!r}") from error  # pyserial stumbles, see ThreadPort
        return made
    # A second program on the port would take half of the bytes away, so it is opened for us alone.
    return serial.Serial(port, baud, timeout=0, exclusive=True)


class FilePort:
    """A port with a file descriptor that does not block."""

    def __init__(self, device: serial.Serial, number: int, heard: Heard, gone: Gone) -> None:
        self._serial = device
        self._number = number
        self._heard = heard
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._writable: asyncio.Future[bool] | None = None
        self._overruns = self._counted()
        self._loop.add_reader(number, self._read)

    def _read(self) -> None:
        """What is there, now that the loop says that there is something: nothing means that the other end is gone."""
        try:
            data = os.read(self._number, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(str(error))
            return
        if data:
            self._heard(data)
        else:
            self._lost("its other end is gone")

    def _lost(self, why: str) -> None:
        self._loop.remove_reader(self._number)
        self._gone(why)

    def drain(self) -> None:
        """Hears what has come up to now."""
        ready = select.poll()
        ready.register(self._number, select.POLLIN)
        while self._is_open and any(events & select.POLLIN for _, events in ready.poll(0)):
            with contextlib.suppress(OSError):  # the loop will hear of it, too
                if data := os.read(self._number, READ_BYTES):
                    self._heard(data)
                    continue
            return

    def overruns(self) -> int:
        """What the driver has lost since it was asked last."""
        if self._overruns is None:
            return 0
        before, self._overruns = self._overruns, self._counted()
        return max(0, (self._overruns or 0) - before)

    def _counted(self) -> int | None:
        try:
            counts = _ICOUNT.unpack(fcntl.ioctl(self._number, _TIOCGICOUNT, bytes(_ICOUNT.size)))
        except OSError:  # ptys, sockets and many a USB driver do not count
            return None
        return int(counts[_OVERRUN] + counts[_BUF_OVERRUN])

    async def write(self, data: bytes) -> None:
        """Hands ``data`` to the port, as it takes it."""
        written = 0
        while written < len(data):
            if not self._is_open:
                raise PortGone(written)
            try:
                written += os.write(self._number, data[written:])
            except BlockingIOError:
                await self._until_writable(written)
            except OSError as error:
                raise PortGone(written) from error

    async def _until_writable(self, written: int) -> None:
        self._writable = self._loop.create_future()
        self._loop.add_writer(self._number, self._can_write, self._writable)
        try:
            async with asyncio.timeout(STUCK_S):
                await self._writable
        except TimeoutError:
            raise PortStuck(written) from None
        finally:
            if self._is_open:
                self._loop.remove_writer(self._number)
            self._writable = None

    @staticmethod
    def _can_write(waiting: asyncio.Future[bool]) -> None:
        if not waiting.done():
            waiting.set_result(True)

    async def set_lines(self, *, dtr: bool, rts: bool) -> None:
        """Sets the modem lines; DTR first, as the auto-program circuit of an ESP32 wants it."""
        self._serial.dtr = dtr
        self._serial.rts = rts

    def close(self) -> None:
        """Lets go of it; what is to be written meets a closed port."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)
        if self._writable is not None:
            self._can_write(self._writable)
        if is_network(str(self._serial.port)):
            # pyserial closes a connection at once, and then sleeps for a while; nobody else should.
            self._loop.run_in_executor(None, _shut, self._serial)
        else:
            _shut(self._serial)


def _shut(device: serial.Serial) -> None:
    connection = getattr(device, "_socket", None)
    with contextlib.suppress(*PORT_ERRORS):  # of a port that is gone there is nothing to restore
        device.close()
    if connection is not None:
        connection.close()  # pyserial forgets it when the other end has reset it


class ThreadPort:
    """A port that only blocking calls can read. Its thread ends, and closes it, soon after it is told to."""

    def __init__(self, device: serial.Serial, heard: Heard, gone: Gone) -> None:
        self._serial = device
        self._heard = heard
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        threading.Thread(target=self._reading, name=f"port {device.port}", daemon=True).start()

    def _reading(self) -> None:
        try:
            while not self._closing.is_set():
                if data := self._serial.read(1):
                    data += self._serial.read(min(self._serial.in_waiting, READ_BYTES))
                    self._on_loop(self._hear, data)
        except Exception as error:  # noqa: BLE001 - pyserial stumbles in many ways over a connection that ends under its hands
            self._on_loop(self._gone, str(error))
        finally:
            with contextlib.suppress(Exception):
                _shut(self._serial)

    def _on_loop(self, call: Callable[..., None], *values: object) -> None:
        if not self._closing.is_set():
            with contextlib.suppress(RuntimeError):  # the loop ended before the thread did
                self._loop.call_soon_threadsafe(call, *values)

    def _hear(self, data: bytes) -> None:
        if not self._closing.is_set():
            self._heard(data)

    def drain(self) -> None:
        """Nothing: the thread is quick, and cannot be hurried."""

    def overruns(self) -> int:
        """Nobody tells."""
        return 0

    async def write(self, data: bytes) -> None:
        """Hands ``data`` to the connection; pyserial gives up when it takes nothing for some seconds."""
        for start in range(0, len(data), _PIECE_BYTES):
            if self._closing.is_set():
                raise PortGone(start)
            try:
                await asyncio.to_thread(self._serial.write, data[start : start + _PIECE_BYTES])
            except PORT_ERRORS as error:
                raise (PortStuck(start) if "timed out" in str(error) else PortGone(start)) from error

    async def set_lines(self, *, dtr: bool, rts: bool) -> None:
        """Asks the other end to set the modem lines."""

        def set_lines() -> None:
            self._serial.dtr = dtr
            self._serial.rts = rts

        await asyncio.to_thread(set_lines)

    def close(self) -> None:
        """Tells the thread to."""
        self._closing.set()
