"""Tasks at once on one runner: how soon each is begun, how soon a client hears what happens, and whether all come to their end.

    .venv/bin/python -m benchmarks.tasks [--code 5] [--firmware 5] [--delay 3] [--rounds 2] [--max-tasks 12]

A nats-server, observability, the runner, the model's endpoint and the client with its WebSockets are processes of their own, on loopback. The
answers are prepared, each after ``--delay`` seconds; pytest, ruff, mypy, the compilers and QEMU are the real ones. A code task is planned by the
model and has two modules, one of which fails its first try; a firmware task has a node for each of two boards, one of which passes at the third
try, the other at the second.

All times are by this machine's clock: of a POST, of events (their own time, and when the log took them), of frames as they are read. What had
happened before a socket was open is replayed to it, and does not count. In the first round the runner is cold: it loads the model's SDK.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import httpx
import websockets

from benchmarks.lab import agent, observability
from benchwire.events import child, nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.log import Log, Recorded
from benchwire.events.settings import NatsSettings
from benchwire.events.task import NodeStarted, TaskClaimed, TaskPlanned
from benchwire.events.testing.eventually import eventually

_ROOT = Path(__file__).parents[1]
_PATIENCE_S = 600.0
_ENDS = ("TASK_COMPLETE", "TASK_FAILED", "TASK_CANCELLED")

_CLAMP = '''"""Keeps a reading within bounds."""


def clamp(value: float, low: float, high: float) -> float:
    """The value, or the bound that it is beyond."""
    return min(max(value, low), high)
'''
_CLAMP_TESTS = '''"""Tests."""

from clamp import clamp


def test_a_value_is_kept_within_its_bounds() -> None:
    assert clamp(5.0, 0.0, 3.0) == 3.0
    assert clamp(-1.0, 0.0, 3.0) == 0.0
    assert clamp(2.0, 0.0, 3.0) == 2.0
'''
_GAUGE = '''"""A gauge."""

from clamp import clamp


def percent(raw: int, full: int) -> float:
    """How much of ``full`` a reading is, 0 to 100."""
    return clamp(100.0 * raw / full, 0.0, 100.0)
'''
_GAUGE_TESTS = '''"""Tests."""

from gauge import percent


def test_a_gauge_shows_parts_of_a_hundred() -> None:
    assert percent(512, 1024) == 50.0
    assert percent(2048, 1024) == 100.0
'''
_OUTLINE = {
    "summary": "A gauge with bounds.",
    "modules": [
        {"name": "clamp.py", "description": "clamp(value, low, high)", "depends_on": []},
        {"name": "gauge.py", "description": "percent(raw, full), 0 to 100", "depends_on": ["clamp.py"]},
    ],
}
_ASSERTIONS = [{"name": "tests itself", "pattern": "SELFTEST PASS"}]
_BODIES: dict[str, dict[str, Any]] = {
    "code": {"kind": "code", "prompt": "A gauge for raw readings, in parts of a hundred."},
    "firmware": {
        "kind": "firmware", "prompt": "count, test yourself, then tick", "deploy": False, "simulation_timeout_s": 5,
        "nodes": [{"node_id": board, "board": board, "assertions": _ASSERTIONS} for board in ("stm32f405", "esp32c3")],
    },
}  # fmt: skip


async def main() -> None:
    """Runs the scene and prints what was seen."""
    options = _options()
    if options.role == "client":
        await _listen(options.port)
        return
    with tempfile.TemporaryDirectory(prefix="benchwire-") as name:
        told = await _scene(Path(name), options)
    print(json.dumps(told, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--code", type=int, default=5)
    parser.add_argument("--firmware", type=int, default=5)
    parser.add_argument("--delay", type=float, default=3.0, help="seconds until an answer of the model begins")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--max-tasks", type=int, default=12, help="the runner's limit")
    parser.add_argument("--role", choices=("scene", "client"), default="scene", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


async def _scene(place: Path, options: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {"answer_delay_s": options.delay, "cores": os.cpu_count(), "rounds": []}
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server.running(place / "nats"))
        service = await stack.enter_async_context(observability(nats.url, place / "data"))
        bus = await stack.enter_async_context(connected(NatsSettings(nats_url=nats.url), name="scene"))
        model = await stack.enter_async_context(_model(place, options.delay))
        limit = str(options.max_tasks)
        await stack.enter_async_context(agent(bus, place / "runner", max_tasks=limit, anthropic_base_url=model))
        for number in range(options.rounds):
            load = os.getloadavg()[0]
            seen = await _round(service.port, bus, {"code": options.code, "firmware": options.firmware})
            told["rounds"].append({"load_before": round(load, 1), "load_after": round(os.getloadavg()[0], 1), **seen})
            _print(f"round {number + 1}, {'warm' if number else 'cold'}; load {load:.1f} before", seen)
    return told


@asynccontextmanager
async def _model(place: Path, delay_s: float) -> AsyncGenerator[str, None]:
    """The endpoint with prepared answers."""
    script, port = place / "cassette.json", place / "model.port"
    script.write_text(json.dumps(_cassette(delay_s)))
    argv = [sys.executable, "-m", "benchwire.deploy.scripted", "--script", str(script), "--port-file", str(port)]
    async with child.spawn(argv):
        await eventually(port.exists, within_s=_PATIENCE_S, what="the endpoint to listen")
        yield f"http://127.0.0.1:{port.read_text().strip()}"


def _cassette(delay_s: float) -> dict[str, Any]:
    def conversation(name: str, answers: Sequence[dict[str, Any]], **fits: Any) -> dict[str, Any]:
        return {"name": name, **fits, "turn": [{**one, "delay_s": delay_s} for one in answers]}

    firmware = resources.files("benchwire.deploy.scripted")
    boards = {"stm32f405": 3, "esp32c3": 2}
    return {
        "cassette": 1,
        "conversation": [
            conversation("plan", [{"text": json.dumps(_OUTLINE)}], structured=True),
            conversation(
                "clamp",
                [
                    {"text": _module("clamp", _CLAMP.replace("min(max", "max(max"), _CLAMP_TESTS)},
                    {"text": _module("clamp", _CLAMP, _CLAMP_TESTS)},
                ],
                contains="Write clamp.py:",
            ),
            conversation("gauge", [{"text": _module("gauge", _GAUGE, _GAUGE_TESTS)}], contains="Write gauge.py:"),
            *(
                conversation(
                    board,
                    [{"text": _fenced(firmware / f"{board}_{number}.c")} for number in range(1, tries + 1)],
                    contains=f"Board profile: {board}",
                )
                for board, tries in boards.items()
            ),
        ],
    }


def _fenced(source: Traversable) -> str:
    return f"```c\n{source.read_text()}```"


def _module(name: str, code: str, tests: str) -> str:
    return f"```python {name}.py\n{code}```\n\n```python test_{name}.py\n{tests}```"


async def _round(port: int, bus: Bus, counts: dict[str, int]) -> dict[str, Any]:
    """As many tasks as asked for, all at once, to their ends."""
    argv = [sys.executable, "-m", "benchmarks.tasks", "--role", "client", "--port", str(port)]
    async with (
        child.spawn(argv, cwd=_ROOT, stdin=child.PIPE, stdout=child.PIPE, limit_bytes=1 << 26) as client,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=_PATIENCE_S, trust_env=False) as http,
    ):
        assert client.stdin is not None
        assert client.stdout is not None
        await client.stdout.readline()  # it has loaded
        asked: dict[str, tuple[str, float, float]] = {}

        async def start(kind: str) -> None:
            assert client.stdin is not None
            begun = time.time()
            answer = await http.post("/tasks", json=_BODIES[kind])
            answer.raise_for_status()
            task_id = answer.json()["task_id"]
            asked[task_id] = (kind, begun, time.time())
            client.stdin.write(f"{task_id}\n".encode())

        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        await asyncio.gather(*map(start, kinds))
        client.stdin.close()
        heard = json.loads(await client.stdout.readline())
    facts = [one async for one in Log(bus).read(["bench.task.>"])]
    return _figures(asked, heard, [one for one in facts if getattr(one.event, "task_id", "") in asked])


async def _listen(port: int) -> None:
    """The client: a WebSocket for each task that it reads of; at their ends it prints what it heard."""
    print("ready", flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    frames: list[dict[str, Any]] = []

    async def hear(task_id: str) -> None:
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws/{task_id}") as socket:
            opened = time.time()
            async for text in socket:
                at, frame = time.time(), json.loads(text)
                frames.append(
                    {"task_id": task_id, "type": frame["type"], "seq": frame["seq"], "at": at, "opened": opened}
                )
                if frame["type"] in _ENDS:
                    return

    async with asyncio.timeout(_PATIENCE_S), asyncio.TaskGroup() as hearing:
        while line := (await reader.readline()).decode().strip():
            hearing.create_task(hear(line))
    print(json.dumps(frames), flush=True)


def _figures(
    asked: dict[str, tuple[str, float, float]], heard: list[dict[str, Any]], facts: list[Recorded]
) -> dict[str, Any]:
    """Seconds to the beginning, milliseconds to the frame."""
    by_sequence = {one.sequence: one for one in facts}
    live = [one for one in heard if by_sequence[one["seq"]].received_at.timestamp() > one["opened"]]
    taken = {
        kind: {
            "answered_s": _spread([end - begun for k, begun, end in asked.values() if k == kind]),
            "claimed_s": _spread(_since(asked, facts, kind, TaskClaimed)),
            "first_work_s": _spread(_since(asked, facts, kind, TaskPlanned, NodeStarted)),
            "whole_s": _spread(
                [
                    one["at"] - asked[one["task_id"]][1]
                    for one in heard
                    if one["type"] in _ENDS and asked[one["task_id"]][0] == kind
                ]
            ),
        }
        for kind in dict.fromkeys(kind for kind, _, _ in asked.values())
    }
    return {
        "tasks": len(asked),
        "ends": dict(Counter(f"{asked[one['task_id']][0]} {one['type']}" for one in heard if one["type"] in _ENDS)),
        **taken,
        "frames": len(heard),
        "frames_live": len(live),
        "from_event_ms": _spread([1000 * (one["at"] - by_sequence[one["seq"]].event.timestamp.timestamp()) for one in live]),
        "from_log_ms": _spread([1000 * (one["at"] - by_sequence[one["seq"]].received_at.timestamp()) for one in live]),
    }  # fmt: skip


def _since(
    asked: dict[str, tuple[str, float, float]], facts: list[Recorded], kind: str, *types: type[Any]
) -> list[float]:
    """From the POST of each task of ``kind`` to its first fact of these types. A plan was begun as long before as its answer took."""
    firsts: dict[str, float] = {}
    for one in facts:
        if isinstance(one.event, types):
            began = one.event.timestamp.timestamp() - (
                one.event.duration_s if isinstance(one.event, TaskPlanned) else 0.0
            )
            firsts.setdefault(one.event.task_id, began)
    return [firsts[task_id] - begun for task_id, (k, begun, _) in asked.items() if k == kind and task_id in firsts]


def _spread(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile, most."""
    ordered = sorted(values)
    if not ordered:
        return {}
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {"median": round(statistics.median(ordered), 3), "p99": round(p99, 3), "max": round(ordered[-1], 3)}


def _print(head: str, seen: dict[str, Any]) -> None:
    print(f"{head}: {seen['ends']}, {seen['frames_live']} of {seen['frames']} frames live")
    print(f"    {'':34}{'median':>10}{'p99':>10}{'max':>10}")
    rows = {
        f"{kind}, {words} (s)": seen[kind][key]
        for kind in _BODIES
        if kind in seen
        for key, words in {
            "answered_s": "POST to answer", "claimed_s": "POST to claim", "first_work_s": "POST to first work",
            "whole_s": "POST to the last frame",
        }.items()
    } | {"event to frame (ms)": seen["from_event_ms"], "log to frame (ms)": seen["from_log_ms"]}  # fmt: skip
    for words, spread in rows.items():
        print(f"    {words:34}" + "".join(f"{one:10.3f}" for one in spread.values()))


if __name__ == "__main__":
    asyncio.run(main())
