"""One try of some sources: compiled and weighed; and, once it has run, judged. The image that comes out is the one that is flashed."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from benchwire.agent.claim import Claim
from benchwire.agent.firmware import prompt
from benchwire.agent.lab import Lab
from benchwire.agent.tools import compiler, files
from benchwire.agent.tools.assertions import judge, satisfied
from benchwire.agent.tools.compiler import Build
from benchwire.agent.tools.simulator import Seat, Simulation
from benchwire.boards.profile import Profile
from benchwire.events.event import Artifact
from benchwire.events.task import AssertionResult, NodeCompiled, NodeImageStored, NodeSimulated, NodeSpec

MAX_MADE_BYTES = 64 * 1024 * 1024  # an ELF with its debug information


class Rejected(msgspec.Struct, frozen=True):
    """The try failed at ``stage`` (``generate``, ``compile``, ``memory``, ``simulate`` or ``assert``); ``feedback`` is for the author.

    ``is_own`` tells that the firmware itself is broken: one that says nothing, or not what it should, may be waiting for another node in vain.
    """

    stage: str
    feedback: str
    is_own: bool = True


class Built(msgspec.Struct, frozen=True):
    """What can be run, in a directory of its own; ``stored`` tells that it is in the artifact store already."""

    workdir: Path
    image: Path
    elf: Path | None = None
    stored: NodeImageStored | None = None


class Trial:
    """Tries sources for one node, each in a directory below ``folder``."""

    def __init__(
        self, lab: Lab, claim: Claim, *, task_id: str, node: NodeSpec, profile: Profile, timeout_s: float, folder: Path
    ) -> None:
        self._lab = lab
        self._claim = claim
        self._task_id = task_id
        self._node = node
        self._profile = profile
        self._timeout_s = timeout_s
        self._folder = folder

    async def built(self, sources: Mapping[str, str], iteration: int) -> Built | Rejected:
        """Writes down what the compiler says. Raises ``ClaimLost``, ``LogUnavailable`` and OSError."""
        workdir = await self._empty(str(iteration))
        async with self._lab.compiling.taken(self._task_id):
            build = await compiler.build(
                self._profile, sources, workdir, self._lab.sandbox, timeout_s=self._lab.settings.compile_timeout_s
            )
        await self._compiled(build, iteration)
        if build.over_budget is not None:
            return Rejected("memory", prompt.over_budget(build))
        if not build.ok or build.image is None:
            return Rejected("compile", prompt.not_compiled(build))
        return Built(workdir, build.image, build.elf)

    async def fetched(self, stored: NodeImageStored) -> Built:
        """What an earlier runner made, out of the artifact store. Raises ``BlobMissing``, ``LogUnavailable`` and OSError."""
        workdir = await self._empty("stored")
        image = workdir / compiler.IMAGE
        await asyncio.to_thread(image.write_bytes, await self._lab.blobs.get(stored.image.digest))
        return Built(workdir, image, stored=stored)

    def seat(self, built: Built, joined: tuple[int, ...]) -> Seat:
        """Its place in a simulation; ``joined`` are the places of those whose UARTs receive what it sends."""
        until = partial(satisfied, assertions=self._node.assertions)
        return Seat(profile=self._profile, image=built.image, workdir=built.workdir, until=until, joined=joined)

    async def judged(
        self, simulation: Simulation, iteration: int, together_with: list[str], others: Mapping[str, str]
    ) -> Rejected | None:
        """Writes down how it ran, with whom; ``others`` are the outputs of those at the other ends of its UART. Raises ``ClaimLost`` and
        ``LogUnavailable``.
        """
        results = await asyncio.to_thread(judge, simulation.printed, self._node.assertions)
        ok = simulation.failure is None and all(one.passed for one in results if one.required)
        await self._simulated(simulation, results, iteration, ok=ok, together_with=together_with)
        is_own = simulation.is_broken or not others
        if simulation.failure is not None:
            return Rejected("simulate", prompt.not_simulated(simulation, self._timeout_s, others), is_own)
        if ok:
            return None
        return Rejected("assert", prompt.not_asserted(simulation, results, self._node.assertions, others), is_own)

    async def stored(self, built: Built, iteration: int) -> NodeImageStored:
        """Puts both files into the artifact store, and says so. Raises ``ClaimLost``, ``LogUnavailable`` and OSError."""
        if built.stored is not None:
            return built.stored
        assert built.elf is not None, "what was built has one"
        name = f"{self._node.node_id}-{self._profile.name}"
        # The simulator could write here meanwhile: only plain files are read.
        made = [await asyncio.to_thread(_plain, built.workdir, file) for file in (built.image, built.elf)]
        image: Artifact = await self._lab.blobs.put(made[0], name=f"{name}.bin")
        elf: Artifact = await self._lab.blobs.put(made[1], name=f"{name}.elf")
        stored = NodeImageStored(
            timestamp=_now(),
            task_id=self._task_id,
            node_id=self._node.node_id,
            iteration=iteration,
            image=image,
            elf=elf,
        )
        await self._claim.append(stored)
        return stored

    async def _empty(self, name: str) -> Path:
        workdir = self._folder / name
        await asyncio.to_thread(workdir.mkdir)
        return workdir

    async def _compiled(self, build: Build, iteration: int) -> None:
        await self._claim.append(
            NodeCompiled(
                timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, iteration=iteration,
                ok=build.ok, diagnostics=build.diagnostics, flash_bytes=build.flash_bytes, ram_bytes=build.ram_bytes,
                flash_limit_bytes=build.flash_limit_bytes, ram_limit_bytes=build.ram_limit_bytes,
                duration_s=round(build.duration_s, 3),
            )
        )  # fmt: skip

    async def _simulated(
        self,
        simulation: Simulation,
        found: list[AssertionResult],
        iteration: int,
        *,
        ok: bool,
        together_with: list[str],
    ) -> None:
        await self._claim.append(
            NodeSimulated(
                timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, iteration=iteration, ok=ok,
                outcome="passed" if ok else str(simulation.outcome), output=simulation.output,
                simulator_error=simulation.simulator_error, assertions=found, duration_s=round(simulation.duration_s, 3),
                together_with=together_with,
            )
        )  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC)


def _plain(workdir: Path, file: Path) -> bytes:
    try:
        return files.whole(workdir, str(file.relative_to(workdir)), max_bytes=MAX_MADE_BYTES)
    except files.FileRefused as error:
        raise OSError(str(error)) from error
