"""Frames of serial ports, and what a client may send to a board; times are milliseconds since the epoch."""

import msgspec

from benchwire.observability.wire.answers.serial import PrintedLine
from benchwire.observability.wire.serial import Sent
from benchwire.web.faces import Pong


class SerialLineFrame(PrintedLine, kw_only=True, tag_field="type", tag="serial_line"):
    """A line that a board printed: its ``number``, and after which flash job.

    ``lostBytes`` were dropped right before it; ``data`` is base64 of the exact bytes when these are not UTF-8.
    """

    device_id: str
    host: str


class SerialWrite(Sent, kw_only=True, tag_field="type", tag="write"):
    """Bytes for the board: ``text`` as UTF-8, or in ``hex`` or ``base64``; then ``end``, such as a line end."""


class SerialWrittenFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="written", rename="camel"):
    """So many bytes were sent to the board."""

    device_id: str
    host: str
    written: int
    timestamp: int


class SerialRefusedFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="error"):
    """What was sent is not taken, or there is no such board."""

    error: str
    timestamp: int


OF_LINES = (SerialLineFrame, Pong)
OF_A_BOARD = (SerialLineFrame, SerialWrittenFrame, SerialRefusedFrame, Pong)
