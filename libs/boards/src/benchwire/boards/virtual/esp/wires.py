"""The wires between a serial adapter and the chip that every development board has: DTR and RTS reset it into its loader."""

from benchwire.boards.virtual.board import ResetMode


class Adapter:
    """A serial adapter as pyserial's `PortManager` wants to see one, with the two transistors behind it.

    RTS alone pulls the reset line, DTR alone the strapping pin, and both together nothing: programs that assert both
    when they open a port must not stop the chip. On the chip's side the reset line rises slowly, so that it starts
    only once RTS is back, and reads the pin as DTR says then.
    """

    # Accepted and told back; the line of a virtual board has no rate and no frame.
    baudrate = 115_200
    bytesize = 8
    parity = "N"
    stopbits = 1
    xonxoff = False
    rtscts = False
    break_condition = False
    # What the chip's side of a modem would say.
    cts = dsr = ri = cd = False

    def __init__(self) -> None:
        self._dtr = False
        self._rts = False
        self._in_reset = False
        self._released: ResetMode | None = None

    @property
    def dtr(self) -> bool:
        """Data terminal ready."""
        return self._dtr

    @dtr.setter
    def dtr(self, asserted: bool) -> None:
        self._dtr = asserted
        self._pull()

    @property
    def rts(self) -> bool:
        """Request to send."""
        return self._rts

    @rts.setter
    def rts(self, asserted: bool) -> None:
        self._rts = asserted
        self._pull()

    def take_reset(self) -> ResetMode | None:
        """The reset that was released since the last call, if one was."""
        released, self._released = self._released, None
        return released

    def reset_input_buffer(self) -> None:
        """Nothing waits on this side."""

    def reset_output_buffer(self) -> None:
        """Nothing waits on this side."""

    def _pull(self) -> None:
        if self._rts and not self._dtr:
            self._in_reset = True
        elif not self._rts and self._in_reset:
            self._in_reset = False
            self._released = "download" if self._dtr else "run"
