"""PlatformIO on this host: whether it is there, and what it has installed. It brings frameworks (Arduino, ESP-IDF) and their compilers.

Only what is installed already counts: firmware is built where there is no network, and PlatformIO would try to download the rest.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

SCONS = "tool-scons"  # what PlatformIO itself builds with


class PiecesOverlap(ValueError):
    """One file of a build reaches into the place of the next; the sentence says by how much."""


class PlatformIO(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project for the ``board`` of a ``platform`` with a ``framework``, as platformio.ini names them.

    ``packages`` are those that have to be there beside the platform. ``pieces`` says where in the image the files of the build begin.
    """

    platform: str
    board: str
    framework: str
    packages: list[str]
    pieces: dict[str, int]

    def project(self, board_name: str) -> str:
        """The project's platformio.ini, with one environment, ``board``."""
        return (
            f"[env:board]\nplatform = {self.platform}\nboard = {self.board}\nframework = {self.framework}\n"
            f"""build_flags = '-DBOARD_NAME="{board_name}"'\n"""
        )

    def image(self, files: Mapping[str, bytes]) -> bytes:
        """The pieces in their places, with erased flash between them. Raises ``PiecesOverlap``."""
        image = bytearray()
        for name, start in sorted(self.pieces.items(), key=lambda piece: piece[1]):
            if len(image) > start:
                raise PiecesOverlap(f"what comes before {name} is {len(image) - start} bytes too long for its place")
            image += bytes([0xFF]) * (start - len(image)) + files[name]
        return bytes(image)


class Folders(msgspec.Struct, frozen=True):
    """Where PlatformIO has its things on this host; ``core`` has the two others in it unless somebody moved them."""

    core: Path
    platforms: Path
    packages: Path


def folders(environment: Mapping[str, str] = os.environ) -> Folders:
    """As PlatformIO finds them."""
    core = Path(environment.get("PLATFORMIO_CORE_DIR") or Path.home() / ".platformio").expanduser()
    return Folders(
        core,
        Path(environment.get("PLATFORMIO_PLATFORMS_DIR") or core / "platforms").expanduser(),
        Path(environment.get("PLATFORMIO_PACKAGES_DIR") or core / "packages").expanduser(),
    )


def program() -> str | None:
    """The command, if it is there."""
    return shutil.which("pio") or shutil.which("platformio")


def not_installed(asked: PlatformIO) -> list[str]:
    """What of the platform and the packages is not on this host."""
    here = folders()
    lacking = [] if _is_in(here.platforms, asked.platform, "platform.json") else [asked.platform]
    return lacking + [one for one in (SCONS, *asked.packages) if not _is_in(here.packages, one, "package.json")]


def _is_in(folder: Path, name: str, manifest: str) -> bool:
    """A package is in a folder of its name, or, as one of several versions, of its name, ``@`` and that."""
    try:
        found = [one for one in folder.iterdir() if one.name.partition("@")[0] == name]
    except OSError:
        return False
    return any((one / manifest).is_file() for one in found)
