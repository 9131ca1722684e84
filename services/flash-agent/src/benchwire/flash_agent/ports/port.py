"""What every open port can do, and what becomes of one that cannot go on."""

import contextlib
import termios
from collections.abc import Callable
from typing import Protocol

import serial

READ_BYTES = 64 << 10
_NETWORK = ("socket://", "rfc2217://")

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


def shut(device: serial.Serial) -> None:
    """Closes pyserial's object, whatever has become of its port. Blocking."""
    connection = getattr(device, "_socket", None)
    with contextlib.suppress(*PORT_ERRORS):  # of a port that is gone there is nothing to restore
        device.close()
    if connection is not None:
        connection.close()  # pyserial forgets it when the other end has reset it
