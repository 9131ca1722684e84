"""The loader that answers esptool in download mode: the ROM's dialect, and the stub's once a stub was uploaded."""

import struct
from collections.abc import Callable
from typing import Literal

import msgspec

from benchwire.boards.virtual.esp.chips import MAGIC_REGISTER, Chip, Identity
from benchwire.boards.virtual.esp.faults import Faults
from benchwire.boards.virtual.esp.nor import SECTOR_BYTES, SIZE_BYTES, Nor, NorError
from benchwire.boards.virtual.esp.packets import (
    DONE,
    FAILED_TO_ACT,
    INVALID_MESSAGE,
    NOT_WRITING,
    READ_FAILED,
    UNKNOWN_COMMAND,
    LoaderError,
    Reply,
    Request,
    answers,
    block_of,
    refusal,
    request_of,
)
from benchwire.boards.virtual.esp.ram import Ram, RamError
from benchwire.boards.virtual.esp.reading import FlashRead
from benchwire.boards.virtual.esp.registers import Registers
from benchwire.boards.virtual.esp.stub import is_stub, known_stubs
from benchwire.boards.virtual.esp.writing import FlashWrite, RamWrite

SYNC = 0x08
FLASH_DEFL_BEGIN = 0x10
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
        self._upload: RamWrite | None = None
        self._write: FlashWrite | None = None
        self._read: FlashRead | None = None
        self._commands = self._rom_commands()

    def answer(self, frame: bytes) -> list[bytes]:
        """The frames that answer `frame`; none for what is no request."""
        if self._read is not None:
            if len(frame) == 4:
                return self._next_of(self._read, int.from_bytes(frame, "little"))
            self._read = None  # a host that starts anew gave the read up
        request = request_of(frame)
        return [] if request is None else self._obey(request)

    def _obey(self, request: Request) -> list[bytes]:
        from_stub = self.in_stub  # the ROM still answers the command that starts the stub
        handle = self._commands.get(request.command)
        if handle is None or (request.command == GET_SECURITY_INFO and not self._identity.tells_security_info):
            return [refusal(self._refused_as(request.command), UNKNOWN_COMMAND, from_stub=from_stub)]
        self._last_known = request.command
        try:
            return answers(request.command, handle(request), from_stub=from_stub)
        except struct.error:  # fewer arguments than the command has
            failure = INVALID_MESSAGE
        except (NorError, RamError):
            failure = FAILED_TO_ACT
        except LoaderError as error:
            failure = error.failure
        return [refusal(request.command, failure, from_stub=from_stub)]

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
            FLASH_DEFL_BEGIN: self._flash_begin,
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

    def _sync(self, _request: Request) -> Reply:
        return Reply(value=0 if self.in_stub else SYNC_VALUE, times=SYNC_ANSWERS)

    def _accept(self, _request: Request) -> Reply:
        return DONE

    def _security_info(self, _request: Request) -> Reply:
        # flags, encryption count, seven key purposes: nothing is locked; then chip id and revision of the interface
        return Reply(data=struct.pack("<IB7BII", 0, 0, *[0] * 7, self._identity.chip_id, 0))

    def _read_register(self, request: Request) -> Reply:
        (address,) = struct.unpack_from("<I", request.data)
        return Reply(value=self._identity.magic if address == MAGIC_REGISTER else self._word(address))

    def _write_registers(self, request: Request) -> Reply:
        if not request.data or len(request.data) % 16:
            raise LoaderError(INVALID_MESSAGE)
        for address, value, mask, _delay_us in struct.iter_unpack("<IIII", request.data):
            word = (self._word(address) & ~mask) | (value & mask)
            try:
                self._ram.write(address, word.to_bytes(4, "little"))
            except RamError:
                self._registers.write(address, value, mask)
        return DONE

    def _word(self, address: int) -> int:
        """Of RAM, or else a register."""
        try:
            return int.from_bytes(self._ram.read(address, 4), "little")
        except RamError:
            return self._registers.read(address)

    # -- RAM

    def _mem_begin(self, request: Request) -> Reply:
        size_bytes, _blocks, block_bytes, address = struct.unpack_from("<IIII", request.data)
        self._upload = RamWrite(self._ram, address=address, size_bytes=size_bytes, block_bytes=block_bytes)
        return DONE

    def _mem_data(self, request: Request) -> Reply:
        sequence, block = block_of(request)
        if self._upload is None:
            raise LoaderError(NOT_WRITING)
        self._upload.block(sequence, block)
        return DONE

    def _mem_end(self, request: Request) -> Reply:
        stay, entry = struct.unpack_from("<II", request.data)
        self._upload = None
        if stay:
            return DONE
        if is_stub(self._ram, entry, known_stubs(self._chip.profile)):
            self.in_stub = True
            self._commands = self._stub_commands()
            return Reply(then=(STUB_GREETING,))
        self.then = RunRam(entry)
        return DONE

    # -- writing flash

    def _flash_begin(self, request: Request) -> Reply:
        size_bytes, _blocks, _block_bytes, address = struct.unpack_from("<IIII", request.data)
        compressed = request.command == FLASH_DEFL_BEGIN
        self._write = FlashWrite(
            self._nor, address=address, size_bytes=size_bytes, compressed=compressed, erase_first=not self.in_stub
        )
        return DONE

    def _flash_data(self, request: Request) -> Reply:
        sequence, block = block_of(request)
        if self._write is None:
            raise LoaderError(NOT_WRITING)
        self._write.block(sequence, block)
        return DONE

    def _flash_end(self, request: Request) -> Reply:
        (stay,) = struct.unpack_from("<I", request.data)
        self._write = None
        if not stay:
            self.then = Reboot("latched")
        elif not self.in_stub:
            self.then = Reboot("run")  # the ROM has nothing to stay in: it runs user code
        return DONE

    # -- reading and erasing flash

    def _flash_md5(self, request: Request) -> Reply:
        address, size_bytes = struct.unpack_from("<II", request.data)
        digest = self._faults.told_md5(self._nor.md5(address, size_bytes))
        return Reply(data=digest if self.in_stub else digest.hex().encode())

    def _read_flash_slow(self, request: Request) -> Reply:
        address, size_bytes = struct.unpack_from("<II", request.data)
        if size_bytes > SLOW_READ_BYTES:
            raise LoaderError(READ_FAILED)
        return Reply(data=self._nor.read(address, size_bytes).ljust(SLOW_READ_BYTES, b"\x00"))

    def _read_flash(self, request: Request) -> Reply:
        address, size_bytes, block_bytes, _most_in_flight = struct.unpack_from("<IIII", request.data)
        if not 0 < block_bytes <= SECTOR_BYTES:
            raise LoaderError(READ_FAILED)
        self._nor.check(address, size_bytes)
        self._read = FlashRead(self._nor, address, size_bytes, block_bytes)
        return Reply(then=tuple(self._next_of(self._read, 0)))

    def _next_of(self, read: FlashRead, got_bytes: int) -> list[bytes]:
        """The next block of a read, or its digest; a wrong count ends the read, as the stub does."""
        frame, finished = read.after(got_bytes)
        if finished:
            self._read = None
        return [] if frame is None else [frame]

    def _erase_flash(self, _request: Request) -> Reply:
        self._nor.erase(0, SIZE_BYTES)
        return DONE

    def _erase_region(self, request: Request) -> Reply:
        address, size_bytes = struct.unpack_from("<II", request.data)
        if address % SECTOR_BYTES or size_bytes % SECTOR_BYTES:
            raise LoaderError(INVALID_MESSAGE)
        self._nor.erase(address, size_bytes)
        return DONE

    def _run_user_code(self, _request: Request) -> Reply:
        self.then = Reboot("run")
        return Reply(times=0)  # the one command that is not answered

    def _bite_after(self, seconds: float) -> None:
        self.then = Reboot("run", after_s=max(seconds, SHORTEST_BITE_S))


Handler = Callable[[Request], Reply]
