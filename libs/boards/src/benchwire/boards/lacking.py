"""What a host lacks for a kind of board: programs, libraries, packages. Looks for them on the disk."""

import importlib.util
import shutil

import msgspec

from benchwire.boards import platformio
from benchwire.boards.parts import BinImage, Compiler, EspImage, Module, Qemu, Uf2Image
from benchwire.boards.platformio import PlatformIO


class Missing(msgspec.Struct, frozen=True):
    """A tool that this host lacks, the package that brings it, and what it is for."""

    tool: str
    package: str
    why: str

    def __str__(self) -> str:
        return f"{self.tool} is missing ({self.why}): install {self.package}"


def to_compile(name: str, compiler: Compiler, image: BinImage | EspImage | Uf2Image) -> list[Missing]:
    """To build for the board ``name`` by one call of a compiler, and to pack the image."""
    found = [
        Missing(tool, compiler.package, f"compiles for {name}")
        for tool in (compiler.gcc, compiler.objcopy)
        if shutil.which(tool) is None
    ]
    if compiler.lacks_library:
        found.append(Missing(compiler.library_at[0], compiler.package, f"the C library of {compiler.gcc}"))
    if isinstance(image, EspImage) and importlib.util.find_spec("esptool") is None:
        found.append(Missing("esptool", "esptool", f"packs images for {name}"))
    return found


def to_build_a_project(name: str, project: PlatformIO) -> list[Missing]:
    """To build for the board ``name`` with PlatformIO."""
    why = f"builds for {name}"
    if platformio.program() is None:
        return [Missing("pio", "platformio", why)]
    found = platformio.not_installed(project)
    if not found:
        return []
    how = f"the platform {project.platform} with the framework {project.framework}, by pio pkg install in a project for the board {project.board}"
    return [Missing(f"PlatformIO's {', '.join(found)}", how, why)]


def to_simulate(name: str, simulator: Qemu | Module | None) -> list[Missing]:
    """To simulate the board ``name``; empty where nothing does."""
    why = f"simulates {name}"
    if isinstance(simulator, Qemu) and shutil.which(simulator.binary) is None:
        return [Missing(simulator.binary, simulator.package, why)]
    if isinstance(simulator, Module) and not simulator.is_there:
        return [Missing(simulator.engine, simulator.package, why)]
    return []
