"""A port that only blocking calls can read, which a thread does."""

import asyncio
import contextlib
import threading
from collections.abc import Callable

import serial

from benchwire.flash_agent.ports.port import PORT_ERRORS, READ_BYTES, Gone, Heard, PortGone, PortStuck, shut

_PIECE_BYTES = 1024  # the smallest number of written bytes that can be told


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
                shut(self._serial)

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
