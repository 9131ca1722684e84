"""A port with a file descriptor, which the event loop reads."""

import asyncio
import contextlib
import fcntl
import os
import select
import struct

import serial

from benchwire.flash_agent.ports.port import READ_BYTES, Gone, Heard, PortGone, PortStuck, is_network, shut

STUCK_S = 2.0

# linux/serial.h, struct serial_icounter_struct: cts dsr rng dcd rx tx frame overrun parity brk buf_overrun, and reserved ones.
ICOUNT = struct.Struct("20i")
OVERRUN, BUF_OVERRUN = 7, 10
TIOCGICOUNT = 0x545D  # asm-generic/ioctls.h


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
            counts = ICOUNT.unpack(fcntl.ioctl(self._number, TIOCGICOUNT, bytes(ICOUNT.size)))
        except OSError:  # ptys, sockets and many a USB driver do not count
            return None
        return int(counts[OVERRUN] + counts[BUF_OVERRUN])

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
            self._loop.run_in_executor(None, shut, self._serial)
        else:
            shut(self._serial)
