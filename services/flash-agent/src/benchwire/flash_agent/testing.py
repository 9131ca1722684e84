"""For tests that need a serial port: a pty whose other end, that of the board, is the test."""

import os
import select
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Pty:
    """A serial port behind ``link``. It leaves out modem lines, speed and a USB id, as every pty does."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self.slave))

    def print(self, data: bytes) -> None:
        """The board says ``data``."""
        os.write(self.master, data)

    def received(self) -> bytes:
        """What was written to the board since this was asked last."""
        data = b""
        while select.select([self.master], [], [], 0)[0]:
            data += os.read(self.master, 65536)
        return data

    def close(self) -> None:
        """Pulls the cable."""
        self.link.unlink(missing_ok=True)
        os.close(self.master)
        os.close(self.slave)


@contextmanager
def plugged(link: Path) -> Iterator[Pty]:
    """A port for the time of the context."""
    pty = Pty(link)
    try:
        yield pty
    finally:
        pty.close()
