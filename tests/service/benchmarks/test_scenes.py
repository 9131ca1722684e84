"""The benchmarks run; how fast anything was is not looked at."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
from benchmarks.apart import ROOT
from benchmarks.measuring import Contender, Goal, Outcome, Run, Scene, Setting, played
from benchmarks.report import text

from benchwire.events import child


async def test_a_quick_scene_measures_both_sides_and_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    argv = [sys.executable, "-m", "benchmarks", "consume", "--quick", "--rounds", "1", "--out", str(out)]
    async with asyncio.timeout(100), child.spawn(argv, cwd=ROOT, stdout=child.PIPE) as process:
        assert process.stdout is not None
        said = (await process.stdout.read()).decode()
        assert await child.exited(process) == 0, said
    (outcome,) = msgspec.json.decode(out.read_bytes(), type=Run).outcomes
    assert set(outcome.figures) == {"nats-py, fetch(500)", "nats-py, ordered consumer", "benchwire"}
    assert all(value > 0 for figures in outcome.figures.values() for value in figures["read_per_s"])
    assert "reading the log, against fetch(500)" in said


async def test_contenders_take_turns_and_a_ratio_is_made_within_a_round() -> None:
    turns: list[str] = []

    async def prepared(_: Setting) -> AsyncGenerator[dict[str, Contender], None]:
        async def slow() -> dict[str, float]:
            turns.append("slow")
            return {"per_s": float(len(turns))}

        async def fast() -> dict[str, float]:
            turns.append("fast")
            return {"per_s": 10.0 * len(turns)}

        yield {"slow": slow, "fast": fast}

    goal = Goal(what="faster", of="fast", metric="per_s", against="slow", at_least=100, because="it is not")
    scene = Scene(name="two", about="two", prepared=prepared, goals=[goal])
    outcome = await played(scene, rounds=3, quick=True)
    assert isinstance(outcome, Outcome)
    assert turns == ["slow", "fast", "fast", "slow", "slow", "fast"]
    assert outcome.figures == {"slow": {"per_s": [1.0, 4.0, 5.0]}, "fast": {"per_s": [20.0, 30.0, 60.0]}}
    (verdict,) = outcome.verdicts
    assert (verdict.least, verdict.median, verdict.most) == (7.5, 12.0, 20.0)
    assert not verdict.is_met
    assert "MISSED  faster: 12.0 [7.50..20.0], wanted at least 100" in text(outcome)
