"""The serial port of a virtual board: a pty that the board owns and any serial program opens.

A board may bring other ends of the same line, such as a TCP port. There is one cable: whoever took it last has it,
and hears and is heard alone, until they leave; the pty has it when nobody took it.
"""

import asyncio
import os
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

BUFFER_BYTES = 16 * 1024


class Taken:
    """The line in the hands of somebody other than the pty."""

    def __init__(self, uart: "Uart", hear: Callable[[bytes], None]) -> None:
        self.hear = hear
        self._uart = uart

    @property
    def is_held(self) -> bool:
        """Whether nobody else took the line since."""
        return self._uart.is_held_by(self)

    def send(self, data: bytes) -> None:
        """Bytes for the board; lost when somebody else has the line."""
        if self.is_held:
            self._uart.deliver(data)


class Uart:
    """The board's end of the line.

    Like a UART it never waits: what the board prints while nobody reads stays in a bounded buffer, and when that is
    full the oldest bytes are lost and counted. What the host sends while the board doesn't listen is lost too.
    """

    def __init__(self, master_fd: int, link: Path, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self.tty = link
        self.dropped_bytes = 0
        self._master_fd = master_fd
        self._buffer_bytes = buffer_bytes
        self._pending = bytearray()
        self._receive: Callable[[bytes], None] | None = None
        self._takers: list[Taken] = []
        self._loop = asyncio.get_running_loop()

    @classmethod
    @contextmanager
    def open(cls, link: Path, *, buffer_bytes: int = BUFFER_BYTES) -> Iterator[Self]:
        """Make a raw pty, point `link` at it, and take it all away at the end. Needs a running event loop."""
        master_fd, slave_fd = os.openpty()
        # The slave stays open here: without any open slave, reading the master fails with EIO.
        try:
            tty.setraw(slave_fd)
            os.set_blocking(master_fd, False)
            link.unlink(missing_ok=True)
            link.symlink_to(os.ttyname(slave_fd))
            uart = cls(master_fd, link, buffer_bytes=buffer_bytes)
            uart._loop.add_reader(master_fd, uart._readable)
            try:
                yield uart
            finally:
                uart._loop.remove_reader(master_fd)
                uart._loop.remove_writer(master_fd)
                link.unlink(missing_ok=True)
        finally:
            os.close(master_fd)
            os.close(slave_fd)

    def on_receive(self, callback: Callable[[bytes], None] | None) -> None:
        """Hand what the host writes to `callback`, on the event loop; None stops listening."""
        self._receive = callback

    def write(self, data: bytes) -> None:
        """Print `data`, from the event loop. Never blocks."""
        if self._takers:
            self._takers[-1].hear(data)
            return
        self._pending += data
        self._flush()
        excess = len(self._pending) - self._buffer_bytes
        if excess > 0:
            del self._pending[:excess]
            self.dropped_bytes += excess

    @contextmanager
    def taken(self, hear: Callable[[bytes], None]) -> Iterator[Taken]:
        """Take the line away from whoever has it; `hear` gets what the board prints, and must not block."""
        taken = Taken(self, hear)
        self._takers.append(taken)
        try:
            yield taken
        finally:
            self._takers.remove(taken)

    def is_held_by(self, taken: Taken) -> bool:
        """Whether this is the one who took the line last."""
        return bool(self._takers) and self._takers[-1] is taken

    def deliver(self, data: bytes) -> None:
        """Bytes arrive at the board."""
        if data and self._receive is not None:
            self._receive(data)

    def _readable(self) -> None:
        try:
            data = os.read(self._master_fd, 64 * 1024)
        except BlockingIOError:
            return
        if not self._takers:
            self.deliver(data)

    def _flush(self) -> None:
        while self._pending:
            try:
                written = os.write(self._master_fd, self._pending)
            except BlockingIOError:
                self._loop.add_writer(self._master_fd, self._flush)
                return
            del self._pending[:written]
        self._loop.remove_writer(self._master_fd)
