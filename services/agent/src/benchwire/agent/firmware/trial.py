"""One try of some sources: compiled, weighed, simulated, judged. The image that comes out is the one that is flashed."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from benchwire.agent.claim import Claim
from benchwire.agent.firmware import prompt
from benchwire.agent.lab import Lab
from benchwire.agent.tools import compiler, simulator
from benchwire.agent.tools.assertions import judge, satisfied
from benchwire.agent.tools.compiler import Build
from benchwire.agent.tools.simulator import Simulation
from benchwire.boards.profile import Profile
from benchwire.events.event import Artifact
from benchwire.events.task import AssertionResult, NodeCompiled, NodeSimulated, NodeSpec

MAX_OUTPUT_BYTES = 128 * 1024  # a byte may take six in JSON, and an event has to stay under 1 MiB
SIMULATION_S = (0.1, 300.0)


class Rejected(msgspec.Struct, frozen=True):
    """The try failed at ``stage`` (``generate``, ``compile``, ``memory``, ``simulate`` or ``assert``); ``feedback`` is for the author."""

    stage: str
    feedback: str


class Passed(msgspec.Struct, frozen=True):
    """The try passed; both files are in the artifact store."""

    image: Artifact
    elf: Artifact


class Trial:
    """Tries sources for one node."""

    def __init__(
        self, lab: Lab, claim: Claim, *, task_id: str, node: NodeSpec, profile: Profile, timeout_s: float
    ) -> None:
        self._lab = lab
        self._claim = claim
        self._task_id = task_id
        self._node = node
        self._profile = profile
        self._timeout_s = min(max(timeout_s, SIMULATION_S[0]), SIMULATION_S[1])

    async def run(self, sources: dict[str, str], iteration: int) -> Passed | Rejected:
        """Writes down what the compiler and the simulator say. Raises ``ClaimLost`` and ``LogUnavailable``."""
        async with _folder(self._lab.settings.home / "builds") as workdir:
            build = await compiler.build(
                self._profile, sources, workdir, self._lab.sandbox, timeout_s=self._lab.settings.compile_timeout_s
            )
            await self._compiled(build, iteration)
            if build.over_budget is not None:
                return Rejected("memory", prompt.over_budget(build))
            if not build.ok or build.image is None or build.elf is None:
                return Rejected("compile", prompt.not_compiled(build))
            rejected = await self._simulated(build, workdir, iteration)
            if rejected is not None:
                return rejected
            name = f"{self._node.node_id}-{self._profile.name}"
            image = await self._lab.blobs.put(build.image, name=f"{name}.bin")
            return Passed(image, await self._lab.blobs.put(build.elf, name=f"{name}.elf"))

    async def _compiled(self, build: Build, iteration: int) -> None:
        await self._claim.append(
            NodeCompiled(
                timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, iteration=iteration,
                ok=build.ok, diagnostics=build.diagnostics, flash_bytes=build.flash_bytes, ram_bytes=build.ram_bytes,
                flash_limit_bytes=build.flash_limit_bytes, ram_limit_bytes=build.ram_limit_bytes,
                duration_s=round(build.duration_s, 3),
            )
        )  # fmt: skip

    async def _simulated(self, build: Build, workdir: Path, iteration: int) -> Rejected | None:
        simulation = await simulator.simulate(
            self._profile, build, workdir, self._lab.sandbox, timeout_s=self._timeout_s, max_bytes=MAX_OUTPUT_BYTES,
            until=partial(satisfied, assertions=self._node.assertions),
        )  # fmt: skip
        results = await asyncio.to_thread(judge, simulation.output, self._node.assertions)
        ok = simulation.failure is None and all(one.passed for one in results if one.required)
        await self._said(simulation, results, iteration, ok=ok)
        if simulation.failure is not None:
            return Rejected("simulate", prompt.not_simulated(simulation, self._timeout_s))
        return None if ok else Rejected("assert", prompt.not_asserted(simulation, results, self._node.assertions))

    async def _said(self, simulation: Simulation, found: list[AssertionResult], iteration: int, *, ok: bool) -> None:
        await self._claim.append(
            NodeSimulated(
                timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, iteration=iteration, ok=ok,
                outcome=str(simulation.outcome), output=simulation.output, simulator_error=simulation.simulator_error,
                assertions=found, duration_s=round(simulation.duration_s, 3),
            )
        )  # fmt: skip


@asynccontextmanager
async def _folder(parent: Path) -> AsyncGenerator[Path, None]:
    await asyncio.to_thread(parent.mkdir, parents=True, exist_ok=True)
    folder = await asyncio.to_thread(tempfile.TemporaryDirectory, dir=parent, ignore_cleanup_errors=True)
    try:
        yield Path(folder.name)
    finally:
        await asyncio.to_thread(folder.cleanup)


def _now() -> datetime:
    return datetime.now(UTC)
