"""Runs the scenes: ``python -m benchmarks [post fanout …] [--rounds 5] [--quick]``.

Without names all that compare are run, and what was seen is kept: docs/performance.json, and the tables and pictures that are made of it. Other
runs write where ``--out`` says. ``python -m benchmarks sockets …`` passes the rest on to a scene that stands for itself.
"""

import argparse
import asyncio
import runpy
import sys
from pathlib import Path

import msgspec

from benchmarks import measuring, report
from benchmarks.apart import ROOT
from benchmarks.scenes import SCENES

ALONE = ("sockets", "flashing", "tasks", "documents_at_size", "sessions_at_size", "snapshots")
_ELSEWHERE = ROOT / ".data" / "benchmarks.json"


def main() -> None:
    """Reads the command line, and runs what it asks for."""
    if len(sys.argv) > 1 and sys.argv[1] in ALONE:
        sys.argv = [f"benchmarks.{sys.argv[1]}", *sys.argv[2:]]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        return
    asked = _asked()
    is_whole = not asked.scene and not asked.quick
    out: Path = asked.out or (report.FIGURES if is_whole else _ELSEWHERE)
    out.parent.mkdir(parents=True, exist_ok=True)
    rounds = asked.rounds or (2 if asked.quick else 5)
    run = asyncio.run(_run(asked.scene or list(SCENES), out, rounds=rounds, quick=asked.quick))
    print(f"\nwritten: {out}")
    if out == report.FIGURES:
        report.write(run)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "scene", nargs="*", metavar="scene", choices=[*SCENES, []], help=f"of: {', '.join(SCENES)}; without any, all"
    )
    parser.add_argument("--rounds", type=int, help="how many times each contender has its turn (5, or 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the load and less: to see that it works")
    parser.add_argument("--out", type=Path, help="where the figures go (JSON)")
    return parser.parse_args()


async def _run(names: list[str], out: Path, *, rounds: int, quick: bool) -> measuring.Run:
    """Keeps what was seen after each scene: it took minutes, and the next one may fail."""
    outcomes: list[measuring.Outcome] = []
    run = measuring.Run(at=measuring.now(), quick=quick, machine=measuring.machine(), outcomes=outcomes)
    for name in names:
        outcome = await measuring.played(SCENES[name], rounds=rounds, quick=quick)
        print(f"\n{report.text(outcome)}", flush=True)
        outcomes.append(outcome)
        _keep(run, out)
    return run


def _keep(run: measuring.Run, out: Path) -> None:
    out.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


if __name__ == "__main__":
    main()
