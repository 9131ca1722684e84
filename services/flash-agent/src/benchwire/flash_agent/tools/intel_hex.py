"""Intel HEX, read by the library of that name within bounds: it keeps Python objects for each byte, and looks at each line."""

import io
import re
from collections.abc import Iterator
from itertools import islice

from intelhex import HexReaderError, IntelHex  # type: ignore[import-untyped]

from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools.pieces import Piece

MAX_PLACES = 65_536  # that bytes lie at, with nothing between them
_LINES_AT_ONCE = 256
_MAX_LINE_BYTES = 600  # a record has 521 characters at most
_RECORD_CHARS = 11  # beside its data
_START_BYTES = 4  # of a record that says where the program begins
_SPARE_LINES = 16
# The upper half of the addresses behind it. The library takes these records in no other spelling.
_EXTENDED = (b":02000002", b":02000004")
_LAST_RECORD = re.compile(rb"^:00[0-9A-Fa-f]{4}01.*", re.MULTILINE)


def pieces_of(content: bytes, most_bytes: int) -> list[Piece]:
    """The bytes of a file, those that touch as one, in order of their addresses.

    A file that must hold more than ``most_bytes`` is not read at all. Raises ``ImageRefused``.
    """
    last = _LAST_RECORD.search(content)
    content = content if last is None else content[: last.end()]
    _bounded(content, most_bytes)
    found: list[Piece] = []
    for text, line in _lots(content):
        found += _read(text, line)
        if len(found) > MAX_PLACES:
            raise ImageRefused(f"the Intel HEX file has bytes for more than {MAX_PLACES} places apart from each other")
    return _joined(found)


def _bounded(content: bytes, most_bytes: int) -> None:
    """Not more bytes in it than fit, and no more lines than these need; told by counting, which takes no time."""
    lines, records = content.count(b"\n"), content.count(b":")
    in_records = (len(content) - lines - content.count(b"\r") - _RECORD_CHARS * records) // 2
    held = in_records - 2 * sum(content.count(begin) for begin in _EXTENDED)
    if held > most_bytes + _START_BYTES:
        raise ImageRefused(
            f"the Intel HEX file has {held} bytes in it, which do not fit into {most_bytes} bytes of flash"
        )
    # At worst each byte has a record of its own behind one with its address, and an empty line behind each of them.
    if max(records, lines // 2) > 2 * held + _SPARE_LINES:
        raise ImageRefused("this is no Intel HEX file: nearly all of its lines hold nothing")


def _lots(content: bytes) -> Iterator[tuple[str, int]]:
    """The file in parts that can be read one by one, each with the number of lines before its first."""
    file = io.BytesIO(content)
    extended, before = b"", 0
    while lot := list(islice(iter(lambda: file.readline(_MAX_LINE_BYTES), b""), _LINES_AT_ONCE)):
        try:
            yield (extended + b"".join(lot)).decode("ascii"), before - bool(extended)
        except UnicodeDecodeError as error:
            raise ImageRefused("this is no Intel HEX file: it has a byte that is not a character of one") from error
        extended = next((line for line in reversed(lot) if line.startswith(_EXTENDED)), extended)
        before += len(lot)


def _read(text: str, before: int) -> list[Piece]:
    try:
        file = IntelHex(io.StringIO(text))
    except HexReaderError as error:
        error.line += before
        raise ImageRefused(f"the Intel HEX file is damaged: {error}") from error
    return [Piece(start, file.tobinstr(start, stop - 1)) for start, stop in file.segments()]


def _joined(found: list[Piece]) -> list[Piece]:
    joined: list[tuple[int, bytearray]] = []
    for piece in sorted(found):
        behind = joined[-1][0] + len(joined[-1][1]) if joined else -1
        if piece.address < behind:
            raise ImageRefused(f"the Intel HEX file is damaged: it has bytes for {piece.address:#x} twice")
        if piece.address == behind:
            joined[-1][1].extend(piece.data)
        else:
            joined.append((piece.address, bytearray(piece.data)))
    if not joined:
        raise ImageRefused("the Intel HEX file holds no data")
    return [Piece(address, bytes(data)) for address, data in joined]
