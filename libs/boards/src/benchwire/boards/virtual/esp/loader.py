"""The loader that answers esptool in download mode: the ROM's dialect, and the stub's once a stub was uploaded.

Source: Espressif, "Serial Protocol" (esptool documentation). A request is `<BBHI`: 0, command, size, checksum, then
data. An answer is `<BBHI`: 1, command, size, value, then data and status: 4 bytes from the ROM, 2 from the stub.
"""

import struct
from collections.abc import Callable
from typing import Literal

import msgspec

from benchwire.boards.virtual.esp.chips import MAGIC_REGISTER, Chip, Identity
from benchwire.boards.virtual.esp.faults import Faults
from benchwire.boards.virtual.esp.nor import SECTOR_BYTES, SIZE_BYTES, Nor, NorError
from benchwire.boards.virtual.esp.packets import (
    FAILED_TO_ACT,
    INFLATE_FAILED,
    INVALID_MESSAGE,
    NOT_WRITING,
    READ_FAILED,
    UNKNOWN_COMMAND,
    WRITE_FAILED,
    Failure,
    LoaderError,
    block_of,
)
from benchwire.boards.virtual.esp.ram import Ram, RamError
from benchwire.boards.virtual.esp.reading import FlashRead
from benchwire.boards.virtual.esp.registers import Registers
from benchwire.boards.virtual.esp.stub import is_stub, known_stubs
from benchwire.boards.virtual.esp.writing import FlashWrite, InflateError, WriteError

HEADER = struct.Struct("<BBHI")
SYNC = 0x08
GET_SECURITY_INFO = 0x14
SYNC_VALUE = 0x20120707  # what the ROM puts into the value of its answer to SYNC; the stub puts 0 there
SYNC_ANSWERS = 8
SLOW_READ_BYTES = 64
STUB_GREETING = b"OHAI"
# The host still locks the watchdog's registers after arming it, and wants an answer; a busy machine needs this long.
SHORTEST_BITE_S = 0.1


class Reboot(msgspec.Struct, frozen=True):
    """Leave the loader and start again.

    "latched": a software reset, the strapping pins count as they were read at the last one; "run": boot the flash.
    """

    into: Literal["latched", "run"]
    after_s: float = 0.0  # until then the loader goes on answering


class RunRam(msgspec.Struct, frozen=True):
    """Leave the loader and jump to code that was uploaded into RAM."""

    entry: int


Then = Reboot | RunRam


class Loader:
    """Answers one frame after the other. `then` says what has to happen once the answers are sent."""

    def __init__(self, chip: Chip, nor: Nor, ram: Ram, mac: bytes, faults: Faults) -> None:
        self.in_stub = False
        self.then: Then | None = None
        self._chip = chip
        self._nor = nor
        self._ram = ram
        self._faults = faults
        self._registers = Registers(chip, mac, watchdog_armed=self._bite_after)
        self._last_known = SYNC
        self._upload_at: int | None = None
        self._upload_block_bytes = 0
        self._write: FlashWrite | None = None
        self._read: FlashRead | None = None
        self._commands = self._rom_commands()

    def answer(self, frame: bytes) -> list[bytes]:
        """The frames that answer `frame`; none for what is no request."""
        if self._read is not None:
            if len(frame) == 4:
                return self._acknowledged(int.from_bytes(frame, "little"))
            self._read = None  # a host that starts anew gave the read up
        if len(frame) < HEADER.size:
            return []
        direction, command, size_bytes, checksum = HEADER.unpack_from(frame)
        data = frame[HEADER.size :]
        if direction != 0 or size_bytes != len(data):
            return []
        return self._run(command, data, checksum)

    def _run(self, command: int, data: bytes, checksum: int) -> list[bytes]:
        handle = self._commands.get(command)
        if handle is None or (command == GET_SECURITY_INFO and not self._identity.tells_security_info):
            return [self._failed(self._refused_as(command), UNKNOWN_COMMAND)]
        self._last_known = command
        try:
            return handle(command, data, checksum)
        except struct.error:  # fewer arguments than the command has
            return [self._failed(command, INVALID_MESSAGE)]
        except NorError:
            return [self._failed(command, FAILED_TO_ACT)]
        except LoaderError as error:
            return [self._failed(command, error.failure)]

    def _rom_commands(self) -> "dict[int, Handler]":
        return {
            0x02: self._flash_begin,
            0x03: self._flash_data,
            0x04: self._flash_end,
            0x05: self._mem_begin,
            0x06: self._mem_end,
            0x07: self._mem_data,
            SYNC: self._sync,
            0x09: self._write_registers,
            0x0A: self._read_register,
            0x0B: self._accept,  # SPI_SET_PARAMS: the geometry of the flash
            0x0D: self._accept,  # SPI_ATTACH
            0x0E: self._read_flash_slow,
            0x0F: self._accept,  # CHANGE_BAUDRATE: a pty has no baud
            0x10: self._flash_begin,
            0x11: self._flash_data,
            0x12: self._flash_end,
            0x13: self._flash_md5,
            GET_SECURITY_INFO: self._security_info,
        }

    def _stub_commands(self) -> "dict[int, Handler]":
        commands = self._rom_commands()
        del commands[0x0E]
        return {
            **commands,
            0xD0: self._erase_flash,
            0xD1: self._erase_region,
            0xD2: self._read_flash,
            0xD3: self._run_user_code,
        }

    @property
    def _identity(self) -> Identity:
        return self._faults.identity or self._chip.identity

    def _refused_as(self, command: int) -> int:
        in_own_name = self.in_stub or self._identity.refuses_in_own_name
        return command if in_own_name else self._last_known

    # -- the line and the chip

    def _sync(self, command: int, _data: bytes, _checksum: int) -> list[bytes]:
        return [self._done(command, value=0 if self.in_stub else SYNC_VALUE)] * SYNC_ANSWERS

    def _accept(self, command: int, _data: bytes, _checksum: int) -> list[bytes]:
        return [self._done(command)]

    def _security_info(self, command: int, _data: bytes, _checksum: int) -> list[bytes]:
        # flags, encryption count, seven key purposes: nothing is locked; then chip id and revision of the interface
        return [self._done(command, data=struct.pack("<IB7BII", 0, 0, *[0] * 7, self._identity.chip_id, 0))]

    def _read_register(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        (address,) = struct.unpack_from("<I", data)
        if address == MAGIC_REGISTER:
            return [self._done(command, value=self._identity.magic)]
        try:
            value = int.from_bytes(self._ram.read(address, 4), "little")
        except RamError:
            value = self._registers.read(address)
        return [self._done(command, value=value)]

    def _write_registers(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        if not data or len(data) % 16:
            raise LoaderError(INVALID_MESSAGE)
        for address, value, mask, _delay_us in struct.iter_unpack("<IIII", data):
            try:
                before = int.from_bytes(self._ram.read(address, 4), "little")
                self._ram.write(address, ((before & ~mask) | (value & mask)).to_bytes(4, "little"))
            except RamError:
                self._registers.write(address, value, mask)
        return [self._done(command)]

    # -- RAM

    def _mem_begin(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        size_bytes, _blocks, self._upload_block_bytes, address = struct.unpack_from("<IIII", data)
        try:
            self._ram.read(address, size_bytes)
        except RamError as error:
            raise LoaderError(FAILED_TO_ACT) from error
        self._upload_at = address
        return [self._done(command)]

    def _mem_data(self, command: int, data: bytes, checksum: int) -> list[bytes]:
        sequence, block = block_of(data, checksum)
        if self._upload_at is None:
            raise LoaderError(NOT_WRITING)
        try:
            self._ram.write(self._upload_at + sequence * self._upload_block_bytes, block)
        except RamError as error:
            raise LoaderError(FAILED_TO_ACT) from error
        return [self._done(command)]

    def _mem_end(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        stay, entry = struct.unpack_from("<II", data)
        self._upload_at = None
        answers = [self._done(command)]
        if stay:
            return answers
        if is_stub(self._ram, entry, known_stubs(self._chip.profile)):
            self.in_stub = True
            self._commands = self._stub_commands()
            return [*answers, STUB_GREETING]
        self._leave(RunRam(entry))
        return answers

    # -- writing flash

    def _flash_begin(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        size_bytes, _blocks, _block_bytes, address = struct.unpack_from("<IIII", data)
        compressed = command == 0x10
        self._write = FlashWrite(
            self._nor, address=address, size_bytes=size_bytes, compressed=compressed, erase_first=not self.in_stub
        )
        return [self._done(command)]

    def _flash_data(self, command: int, data: bytes, checksum: int) -> list[bytes]:
        sequence, block = block_of(data, checksum)
        if self._write is None:
            raise LoaderError(NOT_WRITING)
        try:
            self._write.block(sequence, block)
        except InflateError as error:
            raise LoaderError(INFLATE_FAILED) from error
        except WriteError as error:
            raise LoaderError(WRITE_FAILED) from error
        return [self._done(command)]

    def _flash_end(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        (stay,) = struct.unpack_from("<I", data)
        self._write = None
        if not stay:
            self._leave(Reboot("latched"))
        elif not self.in_stub:
            self._leave(Reboot("run"))  # the ROM has nothing to stay in: it runs user code
        return [self._done(command)]

    # -- reading and erasing flash

    def _flash_md5(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        address, size_bytes = struct.unpack_from("<II", data)
        digest = self._faults.told_md5(self._nor.md5(address, size_bytes))
        return [self._done(command, data=digest if self.in_stub else digest.hex().encode())]

    def _read_flash_slow(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        address, size_bytes = struct.unpack_from("<II", data)
        if size_bytes > SLOW_READ_BYTES:
            raise LoaderError(READ_FAILED)
        content = self._nor.read(address, size_bytes)
        return [self._done(command, data=content.ljust(SLOW_READ_BYTES, b"\x00"))]

    def _read_flash(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        address, size_bytes, block_bytes, _most_in_flight = struct.unpack_from("<IIII", data)
        if not 0 < block_bytes <= SECTOR_BYTES:
            raise LoaderError(READ_FAILED)
        self._nor.check(address, size_bytes)
        self._read = FlashRead(self._nor, address, size_bytes, block_bytes)
        return [self._done(command), *self._acknowledged(0)]

    def _acknowledged(self, got_bytes: int) -> list[bytes]:
        """Send the next block of a read, or its digest; a wrong count ends the read, as the stub does."""
        assert self._read is not None
        frame, finished = self._read.after(got_bytes)
        if finished:
            self._read = None
        return [] if frame is None else [frame]

    def _erase_flash(self, command: int, _data: bytes, _checksum: int) -> list[bytes]:
        self._nor.erase(0, SIZE_BYTES)
        return [self._done(command)]

    def _erase_region(self, command: int, data: bytes, _checksum: int) -> list[bytes]:
        address, size_bytes = struct.unpack_from("<II", data)
        if address % SECTOR_BYTES or size_bytes % SECTOR_BYTES:
            raise LoaderError(INVALID_MESSAGE)
        self._nor.erase(address, size_bytes)
        return [self._done(command)]

    def _run_user_code(self, _command: int, _data: bytes, _checksum: int) -> list[bytes]:
        self._leave(Reboot("run"))
        return []  # the one command that is not answered

    # -- answers

    def _leave(self, then: Then) -> None:
        self.then = then

    def _bite_after(self, seconds: float) -> None:
        self.then = Reboot("run", after_s=max(seconds, SHORTEST_BITE_S))

    def _done(self, command: int, *, value: int = 0, data: bytes = b"") -> bytes:
        return self._packet(command, value, data, status=0, reason=0)

    def _failed(self, command: int, failure: Failure) -> bytes:
        return self._packet(command, 0, b"", status=1, reason=failure.stub if self.in_stub else failure.rom)

    def _packet(self, command: int, value: int, data: bytes, *, status: int, reason: int) -> bytes:
        body = data + bytes([status, reason] if self.in_stub else [status, reason, 0, 0])
        return HEADER.pack(1, command, len(body), value) + body


Handler = Callable[[int, bytes, int], list[bytes]]
