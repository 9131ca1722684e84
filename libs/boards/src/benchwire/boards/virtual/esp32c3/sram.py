"""The chip's RAM: one block that the data bus and the instruction bus see at different addresses."""

import ctypes
import mmap

# ESP32-C3 technical reference manual, "System and Memory": internal SRAM 1.
SIZE_BYTES = 0x60000
DATA_BASE = 0x3FC80000
CODE_BASE = 0x40380000
RTC_BASE = 0x50000000
RTC_SIZE_BYTES = 0x2000


class SramError(Exception):
    """There is no RAM at this address."""


class Sram:
    """The same bytes at 0x3FC80000 (data) and 0x40380000 (code), and 8 KiB of RTC memory at 0x50000000."""

    def __init__(self) -> None:
        self.main = mmap.mmap(-1, SIZE_BYTES)
        self.rtc = mmap.mmap(-1, RTC_SIZE_BYTES)

    def regions(self) -> list[tuple[int, int, int]]:
        """(address on the chip, size in bytes, address of the bytes in this process) of all that can be mapped."""
        return [
            (DATA_BASE, SIZE_BYTES, _host_address(self.main)),
            (CODE_BASE, SIZE_BYTES, _host_address(self.main)),
            (RTC_BASE, RTC_SIZE_BYTES, _host_address(self.rtc)),
        ]

    def read(self, address: int, size_bytes: int) -> bytes:
        """Raises `SramError` when the range is not all RAM."""
        memory, offset = self._find(address, size_bytes)
        return memory[offset : offset + size_bytes]

    def write(self, address: int, data: bytes) -> None:
        """Raises `SramError` when the range is not all RAM."""
        memory, offset = self._find(address, len(data))
        memory[offset : offset + len(data)] = data

    def clear(self) -> None:
        """What a power cycle leaves; on the chip it is noise, here it is zeros."""
        self.main[:] = bytes(SIZE_BYTES)
        self.rtc[:] = bytes(RTC_SIZE_BYTES)

    def _find(self, address: int, size_bytes: int) -> tuple[mmap.mmap, int]:
        for base, memory in ((DATA_BASE, self.main), (CODE_BASE, self.main), (RTC_BASE, self.rtc)):
            if base <= address and address + size_bytes <= base + len(memory):
                return memory, address - base
        raise SramError(f"{size_bytes} bytes at {address:#010x} are not in RAM")


def _host_address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
