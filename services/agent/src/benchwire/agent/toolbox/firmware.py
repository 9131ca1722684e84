"""Firmware: built with the board's own compiler, and run in its simulator.

What a build made is in the artifact store, with a sheet that says what it is; the sheet's digest is the build's id, so that any runner can
go on with it. The store keeps what no event names for about an hour.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from benchwire.agent import scratch
from benchwire.agent.errors import ToolFailed
from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.toolbox.inputs import Input, tool
from benchwire.agent.toolbox.place import Place
from benchwire.agent.tools import assertions, compiler, files, simulator
from benchwire.agent.tools.compiler import Build
from benchwire.boards import profile as profiles
from benchwire.boards.profile import Profile
from benchwire.events.blobs import BlobMissing
from benchwire.events.event import Artifact
from benchwire.events.task import Assertion

MAX_SIMULATION_S = 300.0
MAX_OUTPUT_BYTES = 128 * 1024  # what is judged
MAX_SHOWN_CHARS = 32 * 1024
SHEET = "build.json"
MAX_MADE_BYTES = 64 << 20  # of an image, or of an ELF file with all that it tells debuggers
_SHEET_BYTES = 64 * 1024

BuildId = Annotated[str, Meta(description="the id that build_firmware gave", pattern="^[0-9a-f]{64}$")]


class DescribeBoard(Input, frozen=True, kw_only=True):
    """Tells what firmware for a board profile has to know: the chip, its memories, how it is simulated, and the text of board.h. Without a
    profile: which profiles there are.
    """

    profile: Annotated[str | None, Meta(description="a board profile, such as stm32f405")] = None


class BuildFirmware(Input, frozen=True, kw_only=True):
    """Builds firmware in C for a board profile with its real cross compiler. The board's start-up code, linker script and board.h are
    added: include "board.h". Gives sizes, what the compiler said, and an id for simulate_firmware and flash_device.
    """

    profile: Annotated[str, Meta(description="a board profile, such as stm32f405")]
    sources: Annotated[dict[str, str], Meta(description="files by name (main.c, ...), each with its text")] = {}
    paths: Annotated[
        list[str],
        Meta(max_length=compiler.MAX_FILES, description="source files of the session's directory, used beside sources"),
    ] = []


class SimulateFirmware(Input, frozen=True, kw_only=True):
    """Boots a build in the board's simulator and shows what it prints on its UART. With assertions it ends as soon as all required ones
    are met, and says of each whether it is.
    """

    build: BuildId
    timeout_s: Annotated[float, Meta(gt=0, le=MAX_SIMULATION_S)] = 10.0
    assertions: list[Assertion] = []


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """What a build is."""

    profile: str
    image: Artifact
    elf: Artifact


class Firmware:
    """Builds for one session."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def describe(self, asked: DescribeBoard, _: str) -> str:
        """The tool describe_board."""
        if asked.profile is None:
            return await asyncio.to_thread(_all_profiles)
        return await asyncio.to_thread(_description, _profile(asked.profile))

    async def build(self, asked: BuildFirmware, _: str) -> str:
        """The tool build_firmware."""
        profile = _profile(asked.profile)
        sources = dict(asked.sources)
        for path in asked.paths:
            sources[path] = await asyncio.to_thread(_source, self._place.workdir, path)
        async with self._folder() as folder:
            lab = self._place.lab
            async with lab.compiling.taken(self._place.session_id):
                built = await compiler.build(
                    profile, sources, folder, self._place.sandbox, timeout_s=lab.settings.compile_timeout_s
                )
            if not built.ok or built.image is None or built.elf is None:
                raise ToolFailed(_not_built(built))
            sheet = Sheet(
                profile=profile.name,
                image=await lab.blobs.put(built.image, name=f"{profile.name}.bin"),
                elf=await lab.blobs.put(built.elf, name=f"{profile.name}.elf"),
            )
            kept = await lab.blobs.put(msgspec.json.encode(sheet), name=SHEET)
        told = {
            "build": kept.digest, "profile": profile.name, "image_digest": sheet.image.digest, "image_bytes": sheet.image.size_bytes,
            "flash_bytes": built.flash_bytes, "flash_limit_bytes": built.flash_limit_bytes,
            "ram_bytes": built.ram_bytes, "ram_limit_bytes": built.ram_limit_bytes, "diagnostics": built.diagnostics,
        }  # fmt: skip
        return msgspec.json.encode(told).decode()

    async def simulate(self, asked: SimulateFirmware, _: str) -> str:
        """The tool simulate_firmware."""
        try:
            await asyncio.to_thread(assertions.check, asked.assertions)
        except assertions.IllegalAssertion as error:
            raise ToolFailed(str(error)) from error
        sheet = await self.sheet(asked.build)
        async with self._folder() as folder:
            built = await self._fetched(sheet, folder)
            async with self._place.lab.simulating.taken(self._place.session_id):
                ran = await simulator.simulate(
                    _profile(sheet.profile), built, folder, self._place.sandbox, timeout_s=asked.timeout_s,
                    max_bytes=MAX_OUTPUT_BYTES, until=partial(assertions.satisfied, assertions=asked.assertions),
                )  # fmt: skip
        judged = await asyncio.to_thread(assertions.judge, ran.printed, asked.assertions)
        told = {
            "outcome": str(ran.outcome), "failure": ran.failure, "duration_s": round(ran.duration_s, 3),
            "assertions": judged, "output": _shown(ran.output), "simulator_said": ran.simulator_error[-2000:],
        }  # fmt: skip
        return msgspec.json.encode(told).decode()

    async def sheet(self, build: str) -> Sheet:
        """What the build is, whose bytes then stay for a while. Raises ``ToolFailed`` and ``LogUnavailable``."""
        blobs = self._place.lab.blobs
        try:
            if (size := await blobs.size_of(build)) > _SHEET_BYTES:
                raise ToolFailed(f"{build} is no build; build_firmware gives the id of one")
            sheet = msgspec.json.decode(await blobs.get(build), type=Sheet)
            itself = Artifact(digest=build, size_bytes=size, name=SHEET)
            for one in (itself, sheet.image, sheet.elf):
                # Whoever can put a document can put a sheet.
                size = (await blobs.hold(one)).info.size or 0
                if size != one.size_bytes or size > MAX_MADE_BYTES:
                    raise ToolFailed(f"{build} is no build; build_firmware gives the id of one")
        except BlobMissing as error:
            raise ToolFailed(f"the build {build} is not there any more; build it again") from error
        except msgspec.MsgspecError as error:
            raise ToolFailed(f"{build} is no build; build_firmware gives the id of one") from error
        return sheet

    async def _fetched(self, sheet: Sheet, folder: Path) -> Build:
        image, elf = folder / compiler.IMAGE, folder / compiler.ELF
        for path, artifact in ((image, sheet.image), (elf, sheet.elf)):
            await asyncio.to_thread(path.write_bytes, await self._place.lab.blobs.get(artifact.digest))
        return Build(
            ok=True, diagnostics="", duration_s=0.0, flash_limit_bytes=0, ram_limit_bytes=0, elf=elf, image=image
        )

    def _folder(self) -> AbstractAsyncContextManager[Path]:
        return scratch.folder(self._place.lab.settings.home / "builds")


def tools(calls: Calls, firmware: Firmware) -> list[Tool]:
    """Those that make firmware; the same again gives the same."""
    return [
        tool(calls, "describe_board", DescribeBoard, firmware.describe, repeatable=True),
        tool(calls, "build_firmware", BuildFirmware, firmware.build, repeatable=True),
        tool(calls, "simulate_firmware", SimulateFirmware, firmware.simulate, repeatable=True),
    ]


def _profile(name: str) -> Profile:
    try:
        return profiles.load(name)
    except profiles.UnknownProfile as error:
        raise ToolFailed(str(error)) from error


def _all_profiles() -> str:
    return "\n".join(f"{name}: {profiles.load(name).title}" for name in profiles.names())


def _description(profile: Profile) -> str:
    headers = [profiles.ROOT / file for file in profile.support if file.endswith("/board.h")]
    unbuilt = profiles.missing_to_build(profile)
    lacking = [f"This host cannot build for it: {one}" for one in unbuilt]
    lacking += [f"This host cannot simulate it: {one}" for one in profiles.missing(profile) if one not in unbuilt]
    shown = [f"board.h:\n{header.read_text(encoding='utf-8').strip()}" for header in headers]
    return "\n\n".join(
        [f"{profile.title} ({profile.name}, {profile.architecture})", profile.notes_for_model.strip(), *lacking, *shown]
    )


def _source(workdir: Path, path: str) -> str:
    return files.whole(workdir, path, max_bytes=compiler.MAX_FILE_BYTES).decode(errors="replace")


def _shown(output: str) -> str:
    """Of a long output, its beginning and its end."""
    half = MAX_SHOWN_CHARS // 2
    left_out = len(output) - 2 * half
    return output if left_out <= 0 else f"{output[:half]}\n[{left_out} characters are not shown]\n{output[-half:]}"


def _not_built(built: Build) -> str:
    return "\n".join(filter(None, [built.over_budget, built.diagnostics])) or "the build failed, and nothing says why"
