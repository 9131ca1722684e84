"""The chip's RAM: blocks that more than one bus may see, each at an address of its own."""

import ctypes
import mmap

from benchwire.boards.virtual.esp.chips import RamBlock


class RamError(Exception):
    """There is no RAM at this address."""


class Ram:
    """The RAM of one chip. What is written at one address of a block is read at its others."""

    def __init__(self, blocks: tuple[RamBlock, ...]) -> None:
        memories = [(block, mmap.mmap(-1, block.size_bytes)) for block in blocks]
        self._views = [(address, memory) for block, memory in memories for address in block.addresses]

    def regions(self) -> list[tuple[int, int, int]]:
        """(address on the chip, size in bytes, address of the bytes in this process) of all that can be mapped."""
        return [(address, len(memory), _host_address(memory)) for address, memory in self._views]

    def read(self, address: int, size_bytes: int) -> bytes:
        """Raises `RamError` when the range is not all RAM."""
        memory, offset = self._find(address, size_bytes)
        return memory[offset : offset + size_bytes]

    def write(self, address: int, data: bytes) -> None:
        """Raises `RamError` when the range is not all RAM."""
        memory, offset = self._find(address, len(data))
        memory[offset : offset + len(data)] = data

    def clear(self) -> None:
        """What a power cycle leaves; on the chip it is noise, here it is zeros."""
        for _, memory in self._views:
            memory[:] = bytes(len(memory))

    def _find(self, address: int, size_bytes: int) -> tuple[mmap.mmap, int]:
        for base, memory in self._views:
            if base <= address and address + size_bytes <= base + len(memory):
                return memory, address - base
        raise RamError(f"{size_bytes} bytes at {address:#010x} are not in RAM")


def _host_address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
