"""Board profiles: everything the lab knows about a kind of board, said in one place.

A profile is data: ``profiles/<name>/profile.toml`` beside its start-up code and linker script. The build, the simulator, the flash
drivers and the prompt for firmware authors all read it, so that what is simulated is what is flashed.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from benchwire.boards import lacking
from benchwire.boards.lacking import Missing
from benchwire.boards.parts import (
    BinImage,
    Compiler,
    EspImage,
    Esptool,
    Flash,
    Module,
    Pyocd,
    Qemu,
    Region,
    Uf2,
    Uf2Image,
)
from benchwire.boards.platformio import PlatformIO

__all__ = [
    "ROOT", "Ability", "BinImage", "Compiler", "EspImage", "Esptool", "Flash", "Missing", "Module", "NotFlashed", "NotSimulated",
    "Profile", "Pyocd", "Qemu", "Region", "Uf2", "Uf2Image", "UnknownProfile", "ability", "board_names", "load", "load_flashed",
    "load_simulated", "missing", "missing_to_build", "names", "simulated_names",
]  # fmt: skip

ROOT = Path(__file__).parent / "profiles"

# Of every GCC build. Freestanding: GCC would else turn the start-up loops into calls of a library that isn't there.
CFLAGS = (
    "-std=gnu11", "-Os", "-g", "-Wall", "-Wextra", "-ffreestanding", "-ffunction-sections", "-fdata-sections", "-fno-common",
    "-fdiagnostics-color=never", "-fmax-errors=20",
)  # fmt: skip
LDFLAGS = ("-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,--print-memory-usage")
_WORD_BYTES = 4


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


class NotFlashed(ValueError):
    """No driver flashes boards of this kind; their firmware can be built, and simulated where anything does."""

    def __init__(self, profile: "Profile") -> None:
        super().__init__(f"nothing here flashes {profile.name} boards: {profile.not_flashed}")
        self.name = profile.name


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of board. ``support`` and ``linker_script`` are paths below ``profiles/``; sizes in bytes.

    Firmware is built by one call of ``compiler``, or else as a project of ``platformio``, which has start-up code and linker script itself.

    ``simulator`` is None for a board whose firmware nothing but the board itself runs honestly, ``driver`` for one that nothing here flashes:
    ``not_flashed`` says why. ``same_board_as`` names the profile under which boards of this kind are known, when it is another one.
    """

    name: str
    title: str
    architecture: str
    baud: int
    aliases: list[str]
    support: list[str] = []
    linker_script: str = ""
    notes_for_model: str
    memory: dict[str, Region]
    flash: Flash
    gcc: Compiler | None = msgspec.field(default=None, name="compiler")
    platformio: PlatformIO | None = None
    image: BinImage | EspImage | Uf2Image
    simulator: Qemu | Module | None = None
    driver: Pyocd | Esptool | Uf2 | None = None
    not_flashed: str = ""
    same_board_as: str = ""

    def __post_init__(self) -> None:
        if (self.driver is None) != bool(self.not_flashed):
            raise ValueError(f"profile {self.name} has to have either a driver or a reason for having none")
        if (self.gcc is None) == (self.platformio is None) or (self.gcc is None) != (not self.linker_script):
            raise ValueError(f"profile {self.name} has to have either a compiler and a linker script or PlatformIO")
        for file in filter(None, (*self.support, self.linker_script)):
            if not (ROOT / file).is_file():
                raise ValueError(f"profile {self.name} names {file}, which is not there")

    @property
    def compiler(self) -> Compiler:
        """What builds firmware by one call. Raises ValueError where PlatformIO does."""
        if self.gcc is None:
            raise ValueError(f"firmware for {self.name} is built by PlatformIO, not by a compiler alone")
        return self.gcc

    @property
    def support_sources(self) -> tuple[str, ...]:
        """Those of ``support`` that the compiler is given; the others are headers."""
        return tuple(file for file in self.support if file.endswith((".c", ".s", ".S")))

    @property
    def firmware_address(self) -> int:
        """Where the board's firmware begins, as whatever flashes it counts: in the chip's flash for esptool, else in its memory.

        Raises ``NotFlashed``.
        """
        match self.driver:
            case None:
                raise NotFlashed(self)
            case Esptool(offset=offset):
                return offset
            case Pyocd(address=address) | Uf2(address=address):
                return address

    @property
    def board(self) -> str:
        """The name under which hosts know boards of this kind: what is attached, leased and flashed is called so."""
        return self.same_board_as or self.name

    def beyond_simulator(self, image: bytes) -> str | None:
        """Why the simulator cannot run ``image``, which fits on the board; None when it can."""
        simulator = self.simulator
        if not isinstance(simulator, Qemu) or simulator.ram_bytes is None or len(image) < _WORD_BYTES:
            return None
        # Our linker scripts put the stack behind all else, so that the vector table's first word is where the RAM that is used ends.
        used_bytes = int.from_bytes(image[:_WORD_BYTES], "little") - self.memory["RAM"].origin
        if used_bytes <= simulator.ram_bytes:
            return None
        return (
            f"the firmware uses {used_bytes} bytes of RAM; {self.name} has {self.ram_limit_bytes}, but its simulator ({simulator.machine}) "
            f"only {simulator.ram_bytes}"
        )

    @property
    def ram_limit_bytes(self) -> int:
        """All RAM that firmware may use, over all regions."""
        return sum(region.size_bytes for region in self.memory.values() if region.kind == "ram")

    def compile_argv(self, sources: list[str], *, include: str, linker_script: str, output: str) -> list[str]:
        """One GCC call from sources to ELF; paths are as the compiler will see them."""
        name = f'-DBOARD_NAME="{self.name}"'
        return [
            self.compiler.gcc, *self.compiler.cflags, *CFLAGS, name, f"-I{include}", *sources,
            *LDFLAGS, f"-L{include}", "-T", linker_script, *self.compiler.libraries, "-o", output,
        ]  # fmt: skip


class Ability(msgspec.Struct, frozen=True, kw_only=True):
    """What can be done for a kind of board: built and simulated on this host, flashed on a host that has one.

    ``missing`` has a sentence for each of them that cannot be done, and for each tool that is not there.
    """

    can_build: bool
    can_simulate: bool
    can_flash: bool
    missing: list[str]


@cache
def _profiles() -> Mapping[str, Profile]:
    """By name, in alphabetical order."""
    files = sorted(ROOT.glob("*/profile.toml"))
    found = [msgspec.toml.decode(file.read_bytes(), type=Profile) for file in files]
    return {profile.name: profile for profile in found}


def names() -> tuple[str, ...]:
    """The names of all profiles, without aliases."""
    return tuple(_profiles())


def board_names() -> tuple[str, ...]:
    """The names of those profiles under which boards are known."""
    return tuple(name for name, profile in _profiles().items() if profile.board == name)


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


def load_flashed(name: str) -> Profile:
    """As ``load``, for a board that is to be flashed. Raises ``NotFlashed``, too."""
    profile = load(name)
    if profile.driver is None:
        raise NotFlashed(profile)
    return profile


def ability(profile: Profile) -> Ability:
    """What this host can do for the profile. Looks for programs on the disk."""
    to_build, to_simulate = missing_to_build(profile), lacking.to_simulate(profile.name, profile.simulator)
    sentences = [str(one) for one in (*to_build, *to_simulate)]
    if profile.simulator is None:
        sentences.append(str(NotSimulated(profile.name)))
    if profile.driver is None:
        sentences.append(str(NotFlashed(profile)))
    return Ability(
        can_build=not to_build, can_simulate=profile.simulator is not None and not to_simulate,
        can_flash=profile.driver is not None, missing=sentences,
    )  # fmt: skip


def missing(profile: Profile) -> list[Missing]:
    """What this host lacks to build for the profile, and to simulate where that can be done; empty when nothing."""
    return [*missing_to_build(profile), *lacking.to_simulate(profile.name, profile.simulator)]


def missing_to_build(profile: Profile) -> list[Missing]:
    """What this host lacks to build for the profile; empty when nothing."""
    if profile.platformio is not None:
        return lacking.to_build_a_project(profile.name, profile.platformio)
    return lacking.to_compile(profile.name, profile.compiler, profile.image)
