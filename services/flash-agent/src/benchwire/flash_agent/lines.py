"""From the bytes of a serial port to lines of text. Pure."""

MAX_LINE_BYTES = 4096


class LineSplitter:
    """Collects bytes until a line is whole. A line ends with LF; CRs before it belong to the line end."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._partial = bytearray()

    @property
    def has_partial(self) -> bool:
        """Whether bytes wait for their line end."""
        return bool(self._partial)

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes. A line that is too long comes in pieces."""
        self._partial += data
        *whole, rest = bytes(self._partial).split(b"\n")
        lines = [piece for line in whole for piece in self._pieces(line.rstrip(b"\r"))]
        while len(rest) > self._max_line_bytes:
            lines.append(text(rest[: self._max_line_bytes]))
            rest = rest[self._max_line_bytes :]
        self._partial = bytearray(rest)
        return lines

    def _pieces(self, line: bytes) -> list[str]:
        size = self._max_line_bytes
        return [text(line[start : start + size]) for start in range(0, len(line), size)] or [""]

    def flush(self) -> str | None:
        """What waits, as a line of its own; None when nothing does."""
        line, self._partial = bytes(self._partial).rstrip(b"\r"), bytearray()
        return text(line) if line else None


def text(line: bytes) -> str:
    """``line`` as text; bytes that are not UTF-8 become ``\\xNN``."""
    return line.decode("utf-8", errors="backslashreplace")
