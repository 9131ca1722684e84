"""From a file to bytes with addresses: plain binary, Intel HEX, ELF. Knows no tool and no board."""

import io
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.elf.elffile import ELFFile

from benchwire.events.flash import ImageFormat
from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools import intel_hex
from benchwire.flash_agent.tools.pieces import Piece

MAX_SEGMENTS = 1024  # of an ELF; linkers make a handful

_ELF_MAGIC = b"\x7fELF"
_UF2_MAGIC = b"UF2\n\x57\x51\x5d\x9e"
_HEX_DIGITS = frozenset(b"0123456789ABCDEFabcdef")


def format_of(content: bytes) -> ImageFormat:
    """What ``content`` is, by how it begins; ``bin`` when it says nothing."""
    if content.startswith(_ELF_MAGIC):
        return "elf"
    if content.startswith(_UF2_MAGIC):
        return "uf2"
    line = content[:600].split(b"\n", 1)[0].strip()
    # A colon alone may begin any binary; a whole record, its length right, does not.
    is_record = line[:1] == b":" and len(line) >= 11 and not set(line[1:]) - _HEX_DIGITS
    return "hex" if is_record and len(line) == 11 + 2 * int(line[1:3], 16) else "bin"


def pieces_of(
    content: bytes, form: ImageFormat, *, address: int, machine: str | None, flash_bytes: int
) -> list[Piece]:  # fmt: skip
    """The bytes of ``content``, in order of their addresses; ``address`` is where a plain binary begins.

    ``machine`` is what an ELF must be made for, in the ELF standard's spelling (``EM_ARM``); None when the board takes none. What is costly to
    read is not read when it holds more than ``flash_bytes``. Raises ``ImageRefused``.
    """
    if not content:
        raise ImageRefused("the image is empty")
    match form:
        case "bin":
            return [Piece(address, content)]
        case "hex":
            return intel_hex.pieces_of(content, flash_bytes)
        case "elf":
            return _elf(content, machine)
        case "uf2":
            raise ImageRefused("a UF2 file is for boards that show themselves as a drive, and this is none")


def _elf(content: bytes, machine: str | None) -> list[Piece]:
    """What a boot loader would copy: the loadable segments at their physical addresses."""
    if machine is None:
        raise ImageRefused("this board takes no ELF file; make a flash image of it first, as esptool's elf2image does")
    try:
        file = ELFFile(io.BytesIO(content))
        kind, made_for = file.header["e_type"], file.header["e_machine"]
        loaded = [one for one in _segments(file) if one["p_type"] == "PT_LOAD" and one["p_filesz"]]
        # Nothing keeps them from lying over each other in the file: few bytes would become very many.
        cut_off = sum(one["p_filesz"] for one in loaded) > len(content)
        found = [] if cut_off else [_piece(one, content) for one in loaded]
        cut_off = cut_off or any(len(piece.data) != one["p_filesz"] for piece, one in zip(found, loaded, strict=True))
    except (ELFError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise ImageRefused(f"the ELF file is damaged: {error}") from error
    if kind != "ET_EXEC":
        raise ImageRefused("the ELF file is not a linked program: its addresses are not fixed yet")
    if made_for != machine:
        raise ImageRefused(f"the ELF file is made for {_name(made_for)}, and this board runs {_name(machine)}")
    if cut_off:
        raise ImageRefused("the ELF file is cut off, or its segments lie over each other")
    if not found:
        raise ImageRefused("the ELF file holds nothing to load")
    return sorted(found)


def _segments(file: ELFFile) -> list[Any]:
    """Its program headers. (The library's own way reads all sections for some of them, again and again.)"""
    count, start, step = (file.header[name] for name in ("e_phnum", "e_phoff", "e_phentsize"))
    if count > MAX_SEGMENTS:
        raise ImageRefused(f"the ELF file claims {count} segments; a program has {MAX_SEGMENTS} at most")
    return [struct_parse(file.structs.Elf_Phdr, file.stream, start + number * step) for number in range(count)]


def _piece(segment: Any, content: bytes) -> Piece:
    return Piece(segment["p_paddr"], content[segment["p_offset"] : segment["p_offset"] + segment["p_filesz"]])


def _name(machine: object) -> str:
    return str(machine).removeprefix("EM_").replace("_", " ")
