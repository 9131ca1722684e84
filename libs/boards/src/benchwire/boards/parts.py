"""What a board profile is made of: memories, compiler, image, simulator and driver."""

import ctypes
import importlib.util
import shutil
from pathlib import Path
from typing import Literal

import msgspec

LIBRARIES = ("-lgcc",)


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A memory region of the linker script: where it starts and how many bytes firmware may use."""

    kind: Literal["flash", "ram"]
    origin: int
    size_bytes: int


class Flash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many bytes an image may take in the board's flash."""

    size_bytes: int


class Compiler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GCC cross compiler: ``prefix`` + ``gcc`` and ``objcopy``, the Debian packages that bring them and the libraries, and the flags for this
    core.

    Where a C library is used, ``library_at`` has the places below the compiler's installation at which one may be; one of them has to be there.
    """

    prefix: str
    package: str
    cflags: list[str]
    libraries: tuple[str, ...] = LIBRARIES
    library_at: tuple[str, ...] = ()

    @property
    def gcc(self) -> str:
        """The compiler's program name."""
        return f"{self.prefix}gcc"

    @property
    def lacks_library(self) -> bool:
        """Whether the program is there, and the C library that it needs is not."""
        found = shutil.which(self.gcc)
        if found is None or not self.library_at:
            return False
        installed = Path(found).resolve().parents[1]
        return not any((installed / one).exists() for one in self.library_at)

    @property
    def objcopy(self) -> str:
        """The program that turns an ELF into plain bytes."""
        return f"{self.prefix}objcopy"


class BinImage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="bin"):
    """The loadable bytes in address order, as objcopy writes them."""


class EspImage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="esp-image"):
    """Espressif's image format, as ``esptool --chip <chip> elf2image <arguments>`` writes it."""

    chip: str
    arguments: list[str]


class Uf2Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag="uf2"):
    """The loadable bytes, which begin at ``address``, as a UF2 file for chips of ``family``; erased by sectors of so many bytes."""

    family: int
    address: int
    sector_bytes: int


class Qemu(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="qemu"):
    """A QEMU machine that boots the flat image; ``uart`` is the board's port that appears on QEMU's first serial line.

    ``ram_bytes`` is how much of the chip's RAM the machine has, where that is less than all.
    """

    binary: str
    machine: str
    package: str
    uart: str
    ram_bytes: int | None = None

    def argv(self, image: str) -> list[str]:
        """The command that boots ``image``, its UART on standard output.

        Semihosting stays off: it would let firmware run commands on the host. The seccomp sandbox is QEMU's own second fence.
        """
        return [
            self.binary, "-machine", self.machine, "-kernel", image, "-nodefaults", "-no-user-config", "-display", "none",
            "-monitor", "none", "-serial", "stdio", "-sandbox", "on,spawn=deny,obsolete=deny,resourcecontrol=deny",
        ]  # fmt: skip


class Module(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="module"):
    """A simulator that is a Python module of this package: ``python -m <module> IMAGE <arguments> --timeout-s N --max-bytes N``.

    ``engine`` is the import or (``libsimavr.so.2``) the shared library it needs, ``package`` what to install for it.
    """

    module: str
    engine: str
    package: str
    uart: str
    arguments: list[str] = []

    @property
    def is_there(self) -> bool:
        """Whether its engine is installed."""
        if ".so" not in self.engine:
            return importlib.util.find_spec(self.engine) is not None
        try:
            ctypes.CDLL(self.engine)
        except OSError:
            return False
        return True


class Pyocd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="pyocd"):
    """Flashed through a debug probe by pyocd, as this target, to this address."""

    target: str
    address: int
    note: str = ""


class Esptool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="esptool"):
    """Flashed through the serial boot loader by esptool; ``offset`` is the place in flash, ``flash_size`` in esptool's spelling."""

    chip: str
    offset: int
    flash_size: str
    note: str = ""


class Uf2(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="uf2"):
    """Flashed by copying a UF2 file onto the drive as which its boot loader shows itself.

    ``board_id`` is what the drive says of itself in INFO_UF2.TXT. A plain binary belongs at ``address``, the start of flash.
    """

    board_id: str
    family: int
    address: int
    sector_bytes: int
    note: str = ""
