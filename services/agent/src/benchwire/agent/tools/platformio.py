"""Builds a project of PlatformIO, with a framework, out of what this host has installed: the sandbox has no network.

PlatformIO keeps its own state in a folder of the project; platforms, packages and the Python environments that frameworks made for themselves
are the host's, and only read.
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchwire.agent.sandbox import Finished, Limits, Sandbox, python_paths
from benchwire.agent.tools import files
from benchwire.boards import platformio
from benchwire.boards.platformio import PlatformIO
from benchwire.boards.profile import Profile

BUILD_S = 600.0  # ESP-IDF has some thousand files
MAX_OUTPUT_BYTES = 4 << 20
LIMITS = Limits(
    cpu_s=3600, address_bytes=8 << 30, file_bytes=256 << 20, processes=256, memory_bytes=4 << 30, disk_bytes=4 << 30, wall_s=BUILD_S,
)  # fmt: skip
ELF = Path(".pio/build/board/firmware.elf")
_STATE = "state"  # PlatformIO's core_dir, in the project
_BEGINS = "Processing board"

_USED = re.compile(r"^(?P<memory>RAM|Flash): .*\(used (?P<used>\d+) bytes from (?P<limit>\d+) bytes\)", re.MULTILINE)
_INSTALLS = re.compile(r"^\w+ Manager: Installing (.+)$", re.MULTILINE)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a build: how the command ended, and the image, if there is one. Sizes are as PlatformIO told them, 0 when it did not.

    ``lacks`` is a sentence about what PlatformIO did not have, or did not make.
    """

    finished: Finished
    image: bytes | None = None
    flash_bytes: int = 0
    ram_bytes: int = 0
    over_budget: str | None = None
    lacks: str | None = None


async def build(profile: Profile, sources: Mapping[str, str], workdir: Path, sandbox: Sandbox) -> Made:
    """Builds ``sources`` for a profile that PlatformIO builds, in ``workdir``. Raises OSError and ``SandboxUnavailable``.

    PlatformIO has to be there (``profiles.missing``).
    """
    command, project = platformio.program(), profile.platformio
    assert command is not None, "looked for before"
    assert project is not None, "other profiles are built by a compiler"
    readable = await asyncio.to_thread(_lay_out, project.project(profile.name), sources, workdir, Path(command))
    finished = await sandbox.run(
        [command, "run", "--environment", "board"],
        workdir=workdir,
        limits=LIMITS,
        max_bytes=MAX_OUTPUT_BYTES,
        readable=readable,
        environment={
            "PLATFORMIO_CORE_DIR": _STATE,
            "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
            "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "9999",
            "PLATFORMIO_NO_ANSI": "true",
        },
    )
    return await asyncio.to_thread(_made, project, finished, workdir)


def _lay_out(project: str, sources: Mapping[str, str], workdir: Path, command: Path) -> list[Path]:
    """Writes the project; what of the host has to be readable for it."""
    here = platformio.folders()
    of_the_host = {"platforms": here.platforms, "packages": here.packages, "penv": here.core / "penv"}
    (workdir / "platformio.ini").write_text(project, encoding="utf-8")
    (workdir / _STATE).mkdir()
    # By links, and not by naming the folders to PlatformIO: it puts a lock beside each, where a build may not write.
    for name, folder in of_the_host.items():
        (workdir / _STATE / name).symlink_to(folder.absolute())
    for file, content in sources.items():
        path = workdir / "src" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    readable = dict.fromkeys([*_environment_of(command), *of_the_host.values(), *python_paths()])
    return [one for one in readable if one.exists() and not one.is_relative_to("/usr")]


def _environment_of(command: Path) -> list[Path]:
    """The Python environment that the command is of, and the one that this was made from; of another place no more than the programs."""
    own = command.resolve().parent.parent
    if (own / "pyvenv.cfg").is_file():
        return [own, (own / "bin" / "python").resolve().parent.parent]
    return [own / "bin", own / "lib"]


def _made(project: PlatformIO, finished: Finished, workdir: Path) -> Made:
    told = {row["memory"]: int(row["used"]) for row in _USED.finditer(finished.stdout)}
    over = [
        f"{row['memory']} needs {row['used']} bytes and has {row['limit']}: {int(row['used']) - int(row['limit'])} too many."
        for row in _USED.finditer(finished.stdout)
        if int(row["used"]) > int(row["limit"])
    ]
    about_itself = max(0, finished.stdout.find(_BEGINS))  # in a folder that is new to it PlatformIO introduces itself
    made = Made(
        finished=msgspec.structs.replace(finished, stdout=finished.stdout[about_itself:]),
        flash_bytes=told.get("Flash", 0),
        ram_bytes=told.get("RAM", 0),
        over_budget=" ".join(over) or None,
        lacks=_wanted(finished.stdout),
    )
    if finished.returncode != 0 or over:
        return made
    try:
        files.size(workdir, str(ELF))
        pieces = {
            name: files.whole(workdir, str(ELF.with_name(name)), max_bytes=LIMITS.file_bytes) for name in project.pieces
        }
        return msgspec.structs.replace(made, image=project.image(pieces))
    except (files.FileRefused, platformio.PiecesOverlap, OSError) as error:
        return msgspec.structs.replace(made, lacks=f"PlatformIO has built no image: {error}")


def _wanted(printed: str) -> str | None:
    """What PlatformIO went to fetch, in a sentence."""
    names = ", ".join(dict.fromkeys(_INSTALLS.findall(printed)))
    return f"PlatformIO lacks {names}, and no build here has a network: run pio pkg install before" if names else None
