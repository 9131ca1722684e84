"""Intel HEX: lines of hexadecimal records that say where their bytes belong.

Read here, and not by the library of that name, which keeps a Python object for each byte: a file of 64 MiB, as anybody may send, would take
gigabytes. The format: https://developer.arm.com/documentation/ka003292.
"""

import io

from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools.pieces import Piece

MAX_PLACES = 65_536  # that bytes lie at, with nothing between them
MAX_LINE_BYTES = 600  # a record has 521 characters at most
_DATA, _END, _SEGMENT, _START_SEGMENT, _LINEAR, _START_LINEAR = range(6)
_LENGTHS = {_END: 0, _SEGMENT: 2, _START_SEGMENT: 4, _LINEAR: 2, _START_LINEAR: 4}


def pieces_of(content: bytes) -> list[Piece]:
    """The bytes of a file, those that touch as one, in order of their addresses. Raises ``ImageRefused``."""
    runs: list[tuple[int, bytearray]] = []
    base, end = 0, -1
    for number, line in enumerate(io.BytesIO(content), 1):
        if not (record := line.strip()):
            continue
        kind, offset, data = _record(record, number)
        match kind:
            case 0:
                if base + offset != end or not runs:
                    runs.append((base + offset, bytearray()))
                    if len(runs) > MAX_PLACES:
                        raise ImageRefused(
                            f"the Intel HEX file has bytes for more than {MAX_PLACES} places apart from each other"
                        )
                runs[-1][1].extend(data)
                end = base + offset + len(data)
            case 1:
                break
            case 2:
                base = int.from_bytes(data, "big") * 16
            case 4:
                base = int.from_bytes(data, "big") << 16
    return _joined(runs)


def _record(record: bytes, number: int) -> tuple[int, int, bytes]:
    """What a record is, the address in it, and its data."""
    if not record.isascii():
        raise ImageRefused(f"this is no Intel HEX file: line {number} has a byte that is not a character of one")
    try:
        raw = bytes.fromhex(record[1:].decode()) if record[:1] == b":" and len(record) <= MAX_LINE_BYTES else b""
    except ValueError:
        raw = b""
    if len(raw) < 5 or len(raw) != raw[0] + 5:
        raise _damaged(number, "is no record")
    if sum(raw) & 0xFF:
        raise _damaged(number, "has a checksum that does not fit it")
    kind, data = raw[3], raw[4:-1]
    if kind > _START_LINEAR or _LENGTHS.get(kind, len(data)) != len(data):
        raise _damaged(number, f"is a record of type {kind} with {len(data)} bytes, which there is not")
    return kind, raw[1] << 8 | raw[2], data


def _joined(runs: list[tuple[int, bytearray]]) -> list[Piece]:
    joined: list[tuple[int, bytearray]] = []
    for address, data in sorted((run for run in runs if run[1]), key=lambda run: run[0]):
        behind = joined[-1][0] + len(joined[-1][1]) if joined else -1
        if address < behind:
            raise ImageRefused(f"the Intel HEX file is damaged: it has bytes for {address:#x} twice")
        if address == behind:
            joined[-1][1].extend(data)
        else:
            joined.append((address, data))
    if not joined:
        raise ImageRefused("the Intel HEX file holds no data")
    return [Piece(address, bytes(data)) for address, data in joined]


def _damaged(number: int, what: str) -> ImageRefused:
    return ImageRefused(f"the Intel HEX file is damaged: line {number} {what}")
