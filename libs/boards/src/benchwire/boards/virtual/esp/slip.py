"""SLIP framing as the chip's loader speaks it.

Source: Espressif, "Serial Protocol" (esptool documentation, section "Low Level Protocol"): every packet begins and ends
with 0xC0; inside it 0xDB 0xDC stands for 0xC0 and 0xDB 0xDD for 0xDB. This is the chip's side of that line.
"""

from collections.abc import Iterator

END = 0xC0
ESCAPE = 0xDB
_ESCAPED = {0xDC: END, 0xDD: ESCAPE}

# The largest request is one data block of 0x4000 bytes with its headers; anything longer is noise.
MAX_FRAME_BYTES = 64 * 1024


def encode(frame: bytes) -> bytes:
    """One frame as it goes over the line."""
    return b"\xc0" + frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


class Deframer:
    """Finds the frames in what arrives. Noise outside of frames and broken frames are dropped, as the chip does."""

    def __init__(self) -> None:
        self._collected: bytearray | None = None  # None: outside of a frame

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each frame that `data` completes."""
        for index, part in enumerate(data.split(b"\xc0")):
            if index > 0:
                frame = self._end()
                if frame:
                    yield frame
            if self._collected is not None:
                self._collected += part
                if len(self._collected) > MAX_FRAME_BYTES:
                    self._collected = None

    def _end(self) -> bytes | None:
        """An END arrived: it closes the frame that was open, and opens the next one.

        A host sends one END on each side of a frame, so every second one closes an empty frame, which is no frame.
        """
        collected, self._collected = self._collected, bytearray()
        return unescape(bytes(collected)) if collected else None


def unescape(body: bytes) -> bytes | None:
    """What stood in a frame before it was escaped; None when an escape is not one."""
    first, *others = body.split(b"\xdb")
    parts = [first]
    for other in others:
        if not other or other[0] not in _ESCAPED:
            return None
        parts.append(bytes([_ESCAPED[other[0]]]) + other[1:])
    return b"".join(parts)
