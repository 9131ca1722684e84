"""What requests carry and what answers say, as esptool's protocol has it.

Source: Espressif, "Serial Protocol" (esptool documentation). A request is `<BBHI`: 0, command, size, checksum, then
data. An answer is `<BBHI`: 1, command, size, value, then data and status: 4 bytes from the ROM, 2 from the stub.
"""

import struct

import msgspec

from benchwire.boards.virtual.esp.image import CHECKSUM_SEED, xor_of

_HEADER = struct.Struct("<BBHI")


class Request(msgspec.Struct, frozen=True):
    """What the host asks."""

    command: int
    data: bytes
    checksum: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a command that succeeded is answered with: so many times, and then frames that are no answers."""

    value: int = 0
    data: bytes = b""
    times: int = 1
    then: tuple[bytes, ...] = ()


DONE = Reply()


class Failure(msgspec.Struct, frozen=True):
    """The status bytes of one kind of failure, as the ROM and as the stub say it."""

    rom: int
    stub: int


INVALID_MESSAGE = Failure(0x05, 0xC0)
UNKNOWN_COMMAND = Failure(0x05, 0xFF)
FAILED_TO_ACT = Failure(0x06, 0xC4)
NOT_WRITING = Failure(0x06, 0xC6)
WRONG_CHECKSUM = Failure(0x07, 0xC1)
WRITE_FAILED = Failure(0x08, 0xC4)
READ_FAILED = Failure(0x09, 0xC4)
INFLATE_FAILED = Failure(0x0B, 0xC7)


class LoaderError(Exception):
    """A command fails; the host is told by status bytes."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.rom:#04x}")
        self.failure = failure


def request_of(frame: bytes) -> Request | None:
    """The request in a frame; None for noise."""
    if len(frame) < _HEADER.size:
        return None
    direction, command, size_bytes, checksum = _HEADER.unpack_from(frame)
    data = frame[_HEADER.size :]
    return Request(command, data, checksum) if direction == 0 and size_bytes == len(data) else None


def answers(command: int, reply: Reply, *, from_stub: bool) -> list[bytes]:
    """The frames that say that `command` was done."""
    status = bytes(2 if from_stub else 4)
    return [_answer(command, reply.value, reply.data + status)] * reply.times + list(reply.then)


def refusal(command: int, failure: Failure, *, from_stub: bool) -> bytes:
    """The frame that says that `command` failed."""
    return _answer(command, 0, bytes([1, failure.stub] if from_stub else [1, failure.rom, 0, 0]))


def _answer(command: int, value: int, body: bytes) -> bytes:
    return _HEADER.pack(1, command, len(body), value) + body


def block_of(request: Request) -> tuple[int, bytes]:
    """Number and content of a data block. Raises `LoaderError` when its size or checksum is wrong."""
    size_bytes, sequence, _, _ = struct.unpack_from("<IIII", request.data)
    block = request.data[16:]
    if size_bytes != len(block):
        raise LoaderError(INVALID_MESSAGE)
    if request.checksum & 0xFF != CHECKSUM_SEED ^ xor_of(block):
        raise LoaderError(WRONG_CHECKSUM)
    return sequence, block
