"""One module measured: its tests run in the sandbox, and then its source looked at, there too, by a process that never ran it.

Tests prove something only if they fail without the code. So when all is well they run once more, over the module with functions that only
raise: at least one has to fail then.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchwire.agent import sandbox, scratch
from benchwire.agent.code import inside, report
from benchwire.agent.code.plan import tests_of
from benchwire.agent.code.report import Looked, Measured, Ran
from benchwire.agent.lab import Lab
from benchwire.agent.sandbox import Finished, Limits

INSIDE = Path(inside.__path__[0])
MAX_TOLD_BYTES = 8 << 20
MAX_WHY_CHARS = 1000
LOOK_S = 120  # ruff and mypy take a second
_LINES = "lines.json"


async def measure(lab: Lab, owner: str, module: str, sources: Mapping[str, str], beside: Mapping[str, str]) -> Measured:
    """Measures the module in ``sources``, which also has its tests; ``beside`` are the modules that it may import.

    ``owner`` is the task. A cancel ends what runs. Raises ``SandboxUnavailable`` and OSError.
    """
    began = time.monotonic()
    files = {**beside, **sources}
    async with lab.simulating.taken(owner):
        tests = await _tested(lab, module, files)
    async with lab.compiling.taken(owner):
        looked = await _looked(lab, module, files, tests)
    proving: int | None = None
    if tests.outcome == "passed" and looked.hollow is not None:
        async with lab.simulating.taken(owner):
            without = await _tested(lab, module, {**files, module: looked.hollow})
        proving = tests.count - len(without.passed)
    return Measured(tests=tests, looked=looked, proving=proving, duration_s=time.monotonic() - began)


async def _tested(lab: Lab, module: str, files: Mapping[str, str]) -> Ran:
    wall_s = lab.settings.test_timeout_s
    # Two cores busy for all of the time is in order; a loop that is endless has to end by the clock, whatever the machine is busy with.
    limits = Limits(
        cpu_s=int(2 * wall_s) + 1, address_bytes=4 << 30, file_bytes=64 << 20, processes=64, memory_bytes=512 << 20,
        disk_bytes=128 << 20, wall_s=wall_s,
    )  # fmt: skip
    finished = await _ran(lab, "tests.py", [module, tests_of(module)], files, limits)
    # Code that lies may tell much: what takes long to read holds nobody up.
    return await asyncio.to_thread(
        report.read, finished.stdout, returncode=finished.returncode, broken=finished.broken, stderr=finished.stderr
    )


async def _looked(lab: Lab, module: str, files: Mapping[str, str], tests: Ran) -> Looked:
    limits = Limits(cpu_s=LOOK_S, address_bytes=4 << 30, file_bytes=16 << 20, memory_bytes=1 << 30, wall_s=LOOK_S)
    lines = json.dumps(list(tests.lines))
    finished = await _ran(lab, "source.py", [module, tests_of(module), _LINES], {**files, _LINES: lines}, limits)
    if finished.returncode != 0 or finished.broken is not None:  # source may be such that a tool fails on it
        why = finished.broken or finished.stderr.strip()[-MAX_WHY_CHARS:] or f"exit code {finished.returncode}"
        return Looked(problem=why)
    return msgspec.json.decode(finished.stdout, type=Looked)


async def _ran(lab: Lab, program: str, arguments: list[str], files: Mapping[str, str], limits: Limits) -> Finished:
    async with scratch.folder(lab.settings.home / "builds") as workdir:
        await asyncio.to_thread(_write, workdir, files)
        return await lab.sandbox.run(
            [sys.executable, "-I", "-B", str(INSIDE / program), *arguments], workdir=workdir, limits=limits,
            max_bytes=MAX_TOLD_BYTES, readable=[*sandbox.python_paths(), INSIDE],
        )  # fmt: skip


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
