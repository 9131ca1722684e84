"""From sources to the image that is simulated and flashed: GCC, the memory budget, the board's image format.

The sizes come from the linker itself (``-Wl,--print-memory-usage``), not from ``size``: the linker counts per memory region, alignment
and the reserved stack included, and it says by how much a region is exceeded, when there is no ELF that ``size`` could read.
"""

import asyncio
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec
from msgspec.structs import replace

from benchwire.agent.sandbox import INSIDE, Finished, Limits, Sandbox, SandboxUnavailable, python_paths
from benchwire.agent.tools import files, platformio
from benchwire.boards import profile as profiles
from benchwire.boards import uf2
from benchwire.boards.profile import EspImage, Profile, Uf2Image

MAX_FILES = 32
MAX_FILE_BYTES = 256 * 1024
MAX_TOTAL_BYTES = 1024 * 1024
MAX_OUTPUT_BYTES = 1024 * 1024
MAX_DIAGNOSTICS_CHARS = 16 * 1024

COMPILED = (".c", ".s", ".S")
KINDS = (".c", ".h", ".s", ".S")
PROJECT_COMPILED = (".cpp", *COMPILED)
PROJECT_KINDS = (".cpp", ".hpp", *KINDS)
BOARD = "board"  # the profile's own files, beside the author's
ELF = "firmware.elf"
IMAGE = "firmware.bin"

# cc1 needs some 200 MB of address space; an image is at most some MiB, and objcopy would fill a gap between sections with zeros.
LIMITS = Limits(cpu_s=30, address_bytes=2 << 30, file_bytes=32 << 20)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}")
_USAGE = re.compile(r"^\s*(?P<region>\w+):\s+(?P<used>\d+) (?P<unit>B|KB|MB|GB)\s", re.MULTILINE)
_LINKER_PATH = re.compile(r"^/\S*/ld(?:\.\w+)?: ", re.MULTILINE)
_UNITS = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}  # ld writes a larger unit only where it divides evenly


class IllegalSources(ValueError):
    """The sources can't be built as they are: their names, number or sizes; the sentence says which."""


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a build. Sizes in bytes; ``elf`` and ``image`` are there only when it is ``ok``.

    ``diagnostics`` is what the compiler said (warnings too), with paths relative to the sources. ``flash_bytes`` is what will be
    written to flash; ``ram_bytes`` includes the reserved stack. ``over_budget`` is a sentence when a memory is too small.
    """

    ok: bool
    diagnostics: str
    duration_s: float
    flash_limit_bytes: int
    ram_limit_bytes: int
    flash_bytes: int = 0
    ram_bytes: int = 0
    over_budget: str | None = None
    elf: Path | None = None
    image: Path | None = None


def check(profile: Profile, sources: Mapping[str, str]) -> None:
    """Raises ``IllegalSources`` for names, numbers or sizes that are not built."""
    own = {PurePosixPath(file).name for file in profile.support}
    compiled, kinds = (COMPILED, KINDS) if profile.platformio is None else (PROJECT_COMPILED, PROJECT_KINDS)
    if not any(name.endswith(compiled) for name in sources):
        raise IllegalSources(f"there is nothing to compile: at least one {' or '.join(compiled[:2])} file is needed")
    if len(sources) > MAX_FILES:
        raise IllegalSources(f"{len(sources)} files are too many; at most {MAX_FILES} are built")
    for name, content in sources.items():
        if not _NAME.fullmatch(name) or not name.endswith(kinds) or ".." in name or len(name) > 128:
            raise IllegalSources(
                f"{name!r} is no legal file name: a relative path of a {', '.join(kinds[:-1])} or {kinds[-1]} file is"
            )
        if name in own or name.startswith(f"{BOARD}/"):
            raise IllegalSources(f"{name!r} is the board's own file; choose another name and include board.h")
        if any(str(folder) in sources for folder in PurePosixPath(name).parents):
            raise IllegalSources(f"{name!r} lies in a folder of the same name as another file")
        if len(content.encode()) > MAX_FILE_BYTES:
            raise IllegalSources(f"{name} is larger than {MAX_FILE_BYTES} bytes")
    if sum(len(content.encode()) for content in sources.values()) > MAX_TOTAL_BYTES:
        raise IllegalSources(f"all files together are larger than {MAX_TOTAL_BYTES} bytes")


async def build(
    profile: Profile, sources: Mapping[str, str], workdir: Path, sandbox: Sandbox, *, timeout_s: float
) -> Build:
    """Compiles, links and packs ``sources`` in ``workdir`` (an empty directory), all in the sandbox.

    Illegal or broken sources, an image that doesn't fit, a missing compiler and a deadline that passes are all a ``Build`` that is not
    ``ok``, with the sentence in ``diagnostics``. Raises OSError when ``workdir`` can't be written.
    """
    started = time.monotonic()
    blank = Build(
        ok=False,
        diagnostics="",
        duration_s=0.0,
        flash_limit_bytes=profile.flash.size_bytes,
        ram_limit_bytes=profile.ram_limit_bytes,
    )
    if profile.platformio is not None:
        timeout_s = max(timeout_s, platformio.BUILD_S + 1)
    try:
        async with asyncio.timeout(timeout_s):
            made = await _make(blank, profile, sources, workdir, sandbox)
    except TimeoutError:
        made = replace(blank, diagnostics=f"the build was stopped after {timeout_s:g} s")
    except SandboxUnavailable as error:
        made = replace(blank, diagnostics=str(error))
    return replace(made, duration_s=time.monotonic() - started)


async def _make(blank: Build, profile: Profile, sources: Mapping[str, str], workdir: Path, sandbox: Sandbox) -> Build:
    refusal = await asyncio.to_thread(_refusal, profile, sources)
    if refusal is not None:
        return replace(blank, diagnostics=refusal)
    if profile.platformio is not None:
        return await _make_project(blank, profile, sources, workdir, sandbox)
    compiled = await sandbox.run(
        await asyncio.to_thread(_lay_out, profile, sources, workdir),
        workdir=workdir,
        limits=LIMITS,
        max_bytes=MAX_OUTPUT_BYTES,
    )
    used = memory_usage(compiled.stdout)
    linked = replace(
        blank,
        diagnostics=_diagnostics(compiled, workdir, "the compiler"),
        flash_bytes=_used_bytes(profile, used, "flash"),
        ram_bytes=_used_bytes(profile, used, "ram"),
        over_budget=_over_budget(profile, used),
    )
    if compiled.returncode != 0:
        return linked
    return await _packed(linked, profile, workdir, sandbox)


async def _packed(linked: Build, profile: Profile, workdir: Path, sandbox: Sandbox) -> Build:
    packed = await _pack(profile, workdir, sandbox)
    if packed.returncode != 0:
        return replace(linked, diagnostics=_diagnostics(packed, workdir, "packing the image"))
    try:  # what read hostile sources may have left a link to anything in their place
        await asyncio.to_thread(files.size, workdir, ELF)
        image_bytes = await asyncio.to_thread(files.size, workdir, IMAGE)
    except files.FileRefused as error:
        return replace(linked, diagnostics=f"the build left no image: {error}")
    if image_bytes > profile.flash.size_bytes:
        over = _over("flash", image_bytes, profile.flash.size_bytes)
        return replace(linked, flash_bytes=image_bytes, over_budget=over)
    if isinstance(profile.image, Uf2Image):
        await asyncio.to_thread(_into_uf2, workdir / IMAGE, profile.image)
    return replace(linked, ok=True, flash_bytes=image_bytes, elf=workdir / ELF, image=workdir / IMAGE)


async def _make_project(
    blank: Build, profile: Profile, sources: Mapping[str, str], workdir: Path, sandbox: Sandbox
) -> Build:
    made = await platformio.build(profile, sources, workdir, sandbox)
    said = _diagnostics(made.finished, workdir, "PlatformIO")
    built = replace(
        blank, diagnostics="\n".join(filter(None, [made.lacks, said])), flash_bytes=made.flash_bytes,
        ram_bytes=made.ram_bytes, over_budget=made.over_budget,
    )  # fmt: skip
    if made.image is None:
        return built
    try:
        await asyncio.to_thread(files.put, workdir, IMAGE, made.image)
    except files.FileRefused as error:
        return replace(built, diagnostics=f"the build left no room for its image: {error}")
    return replace(built, ok=True, flash_bytes=len(made.image), elf=workdir / platformio.ELF, image=workdir / IMAGE)


async def _pack(profile: Profile, workdir: Path, sandbox: Sandbox) -> Finished:
    """Turns the ELF into the image. esptool is a child in the sandbox, too: it parses a file that hostile sources shaped."""
    if isinstance(profile.image, EspImage):
        image = profile.image
        tool = [sys.executable, "-I", "-B", "-m", "esptool", "--chip", image.chip, "elf2image", *image.arguments]
        argv, readable = [*tool, "-o", IMAGE, ELF], await asyncio.to_thread(python_paths)
    else:
        argv, readable = [profile.compiler.objcopy, "-O", "binary", ELF, IMAGE], ()
    return await sandbox.run(argv, workdir=workdir, limits=LIMITS, max_bytes=MAX_OUTPUT_BYTES, readable=readable)


def _into_uf2(image: Path, kind: Uf2Image) -> None:
    """In place: the plain bytes become a UF2 file. Needs no sandbox, since the bytes are not looked at."""
    pieces = [(kind.address, image.read_bytes())]
    image.write_bytes(uf2.packed(pieces, family=kind.family, sector_bytes=kind.sector_bytes))


def memory_usage(printed: str) -> Mapping[str, int]:
    """Bytes used per memory region, from what ``ld --print-memory-usage`` printed."""
    return {row["region"]: int(row["used"]) * _UNITS[row["unit"]] for row in _USAGE.finditer(printed)}


def _refusal(profile: Profile, sources: Mapping[str, str]) -> str | None:
    """Why there is no point in starting the compiler; None when there is."""
    try:
        check(profile, sources)
    except IllegalSources as error:
        return str(error)
    return "; ".join(str(one) for one in profiles.missing_to_build(profile)) or None


def _lay_out(profile: Profile, sources: Mapping[str, str], workdir: Path) -> list[str]:
    """Writes the author's files and copies the board's beside them, so that no path of this host is in the command; returns that."""
    board = workdir / BOARD
    board.mkdir(parents=True, exist_ok=True)
    for file in (*profile.support, profile.linker_script):
        shutil.copyfile(profiles.ROOT / file, board / PurePosixPath(file).name)
    for name, content in sources.items():
        path = workdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    given = [f"{BOARD}/{PurePosixPath(file).name}" for file in profile.support_sources]
    written = sorted(name for name in sources if name.endswith(COMPILED))
    script = f"{BOARD}/{PurePosixPath(profile.linker_script).name}"
    return profile.compile_argv([*written, *given], include=BOARD, linker_script=script, output=ELF)


def _used_bytes(profile: Profile, used: Mapping[str, int], kind: str) -> int:
    return sum(used.get(name, 0) for name, region in profile.memory.items() if region.kind == kind)


def _over_budget(profile: Profile, used: Mapping[str, int]) -> str | None:
    over = [
        _over(name, used[name], region.size_bytes)
        for name, region in profile.memory.items()
        if used.get(name, 0) > region.size_bytes
    ]
    return " ".join(over) or None


def _over(name: str, used_bytes: int, limit_bytes: int) -> str:
    return f"{name} needs {used_bytes} bytes and has {limit_bytes}: {used_bytes - limit_bytes} too many."


def _diagnostics(finished: Finished, workdir: Path, what: str) -> str:
    """What a tool said, without paths of this host, cut in its middle: the first error matters most, and the last line names the end."""
    said = (
        finished.stderr if finished.stdout.lstrip().startswith("Memory region") else finished.stdout + finished.stderr
    )
    for prefix in (f"{INSIDE}/", f"{workdir}/"):
        said = said.replace(prefix, "")
    said = _LINKER_PATH.sub("ld: ", said).strip()
    if finished.broken is not None:
        said = f"{said}\n{what} was ended: {finished.broken}".lstrip()
    elif finished.returncode != 0:
        said = f"{said}\n{what} ended with code {finished.returncode}".lstrip()
    if len(said) <= MAX_DIAGNOSTICS_CHARS:
        return said
    half = MAX_DIAGNOSTICS_CHARS // 2
    return f"{said[:half]}\n... {len(said) - 2 * half} characters left out ...\n{said[-half:]}"
