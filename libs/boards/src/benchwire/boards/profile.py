"""Board profiles: everything the lab knows about a kind of board, said in one place.

A profile is data: ``profiles/<name>/profile.toml`` beside its start-up code and linker script. The build, the simulator, the flash
drivers and the prompt for firmware authors all read it, so that what is simulated is what is flashed.
"""

import importlib.util
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

ROOT = Path(__file__).parent / "profiles"

# Of every GCC build. Freestanding: GCC would else turn the start-up loops into calls of a library that isn't there.
CFLAGS = (
    "-std=gnu11", "-Os", "-g", "-Wall", "-Wextra", "-ffreestanding", "-ffunction-sections", "-fdata-sections", "-fno-common",
    "-fdiagnostics-color=never", "-fmax-errors=20",
)  # fmt: skip
LDFLAGS = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--print-memory-usage")


class UnknownProfile(LookupError):
    """No profile has this name or alias."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no board profile is called {name!r}; there are {', '.join(names())}")
        self.name = name


class NotSimulated(ValueError):
    """Firmware for this board can be built and flashed, but not tested before."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no simulator runs firmware for {name} honestly, and a task tests before it flashes; "
            f"choose one of {', '.join(simulated_names())}, or flash an image that you built yourself"
        )
        self.name = name


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A memory region of the linker script: where it starts and how many bytes firmware may use."""

    kind: Literal["flash", "ram"]
    origin: int
    size_bytes: int


class Flash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many bytes an image may take in the board's flash."""

    size_bytes: int


class Compiler(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GCC cross compiler: ``prefix`` + ``gcc`` and ``objcopy``, the Debian package that brings them, and the flags for this core."""

    prefix: str
    package: str
    cflags: list[str]

    @property
    def gcc(self) -> str:
        """The compiler's program name."""
        return f"{self.prefix}gcc"

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
    """A QEMU machine that boots the flat image; ``uart`` is the board's port that appears on QEMU's first serial line."""

    binary: str
    machine: str
    package: str
    uart: str

    def argv(self, image: str) -> list[str]:
        """The command that boots ``image``, its UART on standard output.

        Semihosting stays off: it would let firmware run commands on the host. The seccomp sandbox is QEMU's own second fence.
        """
        return [
            self.binary, "-machine", self.machine, "-kernel", image, "-nodefaults", "-no-user-config", "-display", "none",
            "-monitor", "none", "-serial", "stdio", "-sandbox", "on,spawn=deny,obsolete=deny,resourcecontrol=deny",
        ]  # fmt: skip


class Module(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="module"):
    """A simulator that is a Python module of this package: ``python -m <module> IMAGE --timeout-s N --max-bytes N``.

    ``engine`` is the import it needs, ``package`` what to install for it.
    """

    module: str
    engine: str
    package: str
    uart: str


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


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of board. ``support`` and ``linker_script`` are paths below ``profiles/``; sizes in bytes.

    ``simulator`` is None for a board whose firmware nothing but the board itself runs honestly.
    """

    name: str
    title: str
    architecture: str
    baud: int
    aliases: list[str]
    support: list[str]
    linker_script: str
    notes_for_model: str
    memory: dict[str, Region]
    flash: Flash
    compiler: Compiler
    image: BinImage | EspImage | Uf2Image
    simulator: Qemu | Module | None = None
    driver: Pyocd | Esptool | Uf2

    def __post_init__(self) -> None:
        for file in (*self.support, self.linker_script):
            if not (ROOT / file).is_file():
                raise ValueError(f"profile {self.name} names {file}, which is not there")

    @property
    def support_sources(self) -> tuple[str, ...]:
        """Those of ``support`` that the compiler is given; the others are headers."""
        return tuple(file for file in self.support if file.endswith((".c", ".s", ".S")))

    @property
    def firmware_address(self) -> int:
        """Where the board's firmware begins, as whatever flashes it counts: in the chip's flash for esptool, else in its memory."""
        match self.driver:
            case Esptool(offset=offset):
                return offset
            case Pyocd(address=address) | Uf2(address=address):
                return address

    @property
    def ram_limit_bytes(self) -> int:
        """All RAM that firmware may use, over all regions."""
        return sum(region.size_bytes for region in self.memory.values() if region.kind == "ram")

    def compile_argv(self, sources: list[str], *, include: str, linker_script: str, output: str) -> list[str]:
        """One GCC call from sources to ELF; paths are as the compiler will see them."""
        name = f'-DBOARD_NAME="{self.name}"'
        return [
            self.compiler.gcc, *self.compiler.cflags, *CFLAGS, name, f"-I{include}", *sources,
            *LDFLAGS, f"-L{include}", "-T", linker_script, "-lgcc", "-o", output,
        ]  # fmt: skip


class Missing(msgspec.Struct, frozen=True):
    """A tool that this host lacks, the package that brings it, and what it is for."""

    tool: str
    package: str
    why: str

    def __str__(self) -> str:
        return f"{self.tool} is missing ({self.why}): install {self.package}"


@cache
def _profiles() -> Mapping[str, Profile]:
    """By name, in alphabetical order."""
    files = sorted(ROOT.glob("*/profile.toml"))
    found = [msgspec.toml.decode(file.read_bytes(), type=Profile) for file in files]
    return {profile.name: profile for profile in found}


def names() -> tuple[str, ...]:
    """The names of all profiles, without aliases."""
    return tuple(_profiles())


def load(name: str) -> Profile:
    """The profile of that name or alias. Raises ``UnknownProfile``."""
    for profile in _profiles().values():
        if name == profile.name or name in profile.aliases:
            return profile
    raise UnknownProfile(name)


def simulated_names() -> tuple[str, ...]:
    """The names of the profiles whose firmware can be simulated: those that a firmware task may have."""
    return tuple(name for name, profile in _profiles().items() if profile.simulator is not None)


def load_simulated(name: str) -> Profile:
    """As ``load``, for a board whose firmware is to be simulated. Raises ``NotSimulated``, too."""
    profile = load(name)
    if profile.simulator is None:
        raise NotSimulated(profile.name)
    return profile


def missing(profile: Profile) -> list[Missing]:
    """What this host lacks to build for the profile, and to simulate where that can be done; empty when nothing."""
    compiler = profile.compiler
    lacking = [
        Missing(tool, compiler.package, f"compiles for {profile.name}")
        for tool in (compiler.gcc, compiler.objcopy)
        if shutil.which(tool) is None
    ]
    if isinstance(profile.image, EspImage) and importlib.util.find_spec("esptool") is None:
        lacking.append(Missing("esptool", "esptool", f"packs images for {profile.name}"))
    simulator = profile.simulator
    why = f"simulates {profile.name}"
    if isinstance(simulator, Qemu) and shutil.which(simulator.binary) is None:
        lacking.append(Missing(simulator.binary, simulator.package, why))
    if isinstance(simulator, Module) and importlib.util.find_spec(simulator.engine) is None:
        lacking.append(Missing(simulator.engine, simulator.package, why))
    return lacking
