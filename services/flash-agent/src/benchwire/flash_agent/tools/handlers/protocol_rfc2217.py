"""``rfc2217://``, quick enough to flash through: esptool sets a timeout with each command, and those are nothing to the other side.

pyserial negotiates speed, size, parity and stop bits anew whenever a timeout is set: half a minute per flash.
"""

from serial import rfc2217


class Serial(rfc2217.Serial):
    """A port whose timeouts are its own affair."""

    @property
    def timeout(self) -> float | None:
        """How long a read waits, in seconds; None for ever."""
        return self._timeout

    @timeout.setter
    def timeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    @property
    def write_timeout(self) -> float | None:
        """None: RFC 2217 has no such thing."""
        return None

    @write_timeout.setter
    def write_timeout(self, timeout: float | None) -> None:
        """Nothing: a write that does not end is ended with its process."""
