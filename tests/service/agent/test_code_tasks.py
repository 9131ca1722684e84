"""Code tasks, with a real runner, the real sandbox, pytest, ruff and mypy, and an endpoint that answers from a script."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import psutil

from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.task import (
    NodeFailed,
    NodeGenerated,
    NodeRetried,
    NodeSpec,
    NodeStarted,
    NodeSucceeded,
    NodeTested,
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskGuided,
    TaskPlanned,
    TaskRequested,
)
from benchwire.events.testing.eventually import eventually

Run = Callable[..., AbstractAsyncContextManager[asyncio.Task[None]]]
StartModel = Callable[[str], AbstractAsyncContextManager[str]]
StartAgent = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]
Happened = Callable[[str], Awaitable[list[Event]]]

OVER = (TaskFinished, TaskFailed, TaskCancelled)
EVENTS = "bench.task.t-1.>"

DOUBLE = '"""Doubles."""\n\n\ndef double(x: int) -> int:\n    """Twice as much."""\n    return 2 * x\n'
DOUBLE_TESTS = "from double import double\n\n\ndef test_double() -> None:\n    assert double(2) == 4\n"
QUAD = (
    '"""Quadruples."""\n\nfrom double import double\n\n\n'
    'def quadruple(x: int) -> int:\n    """Four times as much."""\n    return double(double(x))\n'
)
QUAD_TESTS = "from quad import quadruple\n\n\ndef test_quadruple() -> None:\n    assert quadruple(2) == 8\n"

BOMB = "while True:\n        with contextlib.suppress(OSError):\n            os.fork()"
ATTACKS = {
    "forks.py": ("import contextlib\nimport os\n", BOMB, "more than 64 processes"),
    "fills.py": ("", 'n = 0\n    while True:\n        open(f"x{n}", "wb").write(bytes(10_000_000)); n += 1', "more than 128 MiB"),
    "calls.py": ("import urllib.request\n", 'urllib.request.urlopen("http://example.com")', "to use the network; there is none"),
}  # fmt: skip


def one(name: str, imports: str = "", first: str = "") -> dict[str, str]:
    """A module that adds one, and its tests; ``first`` is what it does before."""
    plain = name.removesuffix(".py")
    body = f"{first}\n    " if first else ""
    code = f'"""Adds."""\n\n{imports}\n\ndef add(x: int) -> int:\n    """One more."""\n    {body}return x + 1\n'
    tests = f"from {plain} import add\n\n\ndef test_add() -> None:\n    assert add(1) == 2\n\n\ndef test_less() -> None:\n    assert add(-1) == 0\n"
    return {name: code, f"test_{name}": tests}


def files(sources: dict[str, str]) -> str:
    return "\n".join(f"```python {name}\n{text}```" for name, text in sources.items())


def turn(text: str, **conditions: Any) -> str:
    given = "".join(f"{name} = {json.dumps(value)}\n" for name, value in conditions.items())
    return f"[[turn]]\n{given}text = '''\n{text}\n'''\n"


def requested(*nodes: NodeSpec, **more: Any) -> TaskRequested:
    return TaskRequested(timestamp=datetime.now(UTC), task_id="t-1", kind="code", nodes=list(nodes), **more)


def module(name: str, *needs: str, **more: Any) -> NodeSpec:
    return NodeSpec(node_id=name, description=f"the module {name}", depends_on=list(needs), **more)


def said(request: dict[str, Any]) -> str:
    """What the model was told last."""
    return str(request["messages"][-1]["content"])


def pytests() -> list[psutil.Process]:
    """What runs tests below this process."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(part.endswith("inside/tests.py") for part in one.cmdline()):
                found.append(one)
    return found


async def end_of(happened: Happened) -> Event:
    async def over() -> Event | None:
        return next((one for one in await happened(EVENTS) if isinstance(one, OVER)), None)

    event: Event = await eventually(over, within_s=90, what="the task to be over")
    return event


def of(events: list[Event], kind: type[Event], name: str) -> list[Any]:
    return [one for one in events if isinstance(one, kind) and getattr(one, "node_id", None) == name]


async def test_a_program_is_planned_and_its_modules_are_tried_until_they_are_good_enough(
    log: Log, replies: Any, runner: Run, happened: Happened
) -> None:
    bad = {"summary": "two", "modules": [{"name": "json.py", "description": "doubles", "depends_on": []}]}
    good = {
        "summary": "It doubles, twice.",
        "modules": [
            {"name": "quad.py", "description": "quadruples", "depends_on": ["double.py"]},
            {"name": "double.py", "description": "doubles", "depends_on": []},
        ],
    }
    answers = [
        json.dumps(bad),
        json.dumps(good),
        "I would rather not.",
        files({"double.py": DOUBLE.replace("2 * x", "3 * x"), "test_double.py": DOUBLE_TESTS}),
        files({"double.py": DOUBLE}),
        files({"quad.py": QUAD, "test_quad.py": QUAD_TESTS}),
    ]
    async with replies.given(*map(replies.text, answers)) as asked, runner():
        await log.append(requested(prompt="something that quadruples", answers=["it has to be quick"]))
        assert isinstance(await end_of(happened), TaskFinished)
    last = [said(one) for one in asked]
    assert "it has to be quick" in last[0]
    assert "would hide the module 'json'" in last[1]
    assert "no code block for double.py" in last[3]
    assert "assert 6 == 4" in last[4]
    assert DOUBLE.strip() in last[5]
    events = await happened(EVENTS)
    planned = next(one for one in events if isinstance(one, TaskPlanned))
    assert [one.node_id for one in planned.nodes] == ["double.py", "quad.py"]
    assert planned.summary == "It doubles, twice."
    assert planned.model is not None
    assert planned.output_tokens > 0
    assert [one.stage for one in of(events, NodeRetried, "double.py")] == ["generate", "test"]
    tested = of(events, NodeTested, "double.py")
    assert [(one.iteration, one.ok, one.tests_passed, one.tests_failed) for one in tested] == [
        (2, False, 0, 1),
        (3, True, 1, 0),
    ]
    assert tested[-1].measures == {"tests": 1.0, "coverage": 1.0, "lint": 1.0, "types": 1.0}
    assert sum(tested[-1].weights.values()) == 1.0
    assert tested[-1].quality_score == 1.0
    assert of(events, NodeGenerated, "double.py")[-1].sources == {"double.py": DOUBLE, "test_double.py": DOUBLE_TESTS}
    assert of(events, NodeGenerated, "quad.py")[-1].sources == {"quad.py": QUAD, "test_quad.py": QUAD_TESTS}
    assert [type(one) for one in events if getattr(one, "node_id", "") == "quad.py"] == [
        NodeStarted,
        NodeGenerated,
        NodeTested,
        NodeSucceeded,
    ]


async def test_code_that_attacks_is_a_failed_iteration_with_the_reason(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    script = "".join(
        turn(files(one(name, imports, first)), contains=f"Write {name}", attempt=1)
        for name, (imports, first, _) in ATTACKS.items()
    )
    async with model(script) as url, agent(url=url):
        await log.append(requested(*[module(name) for name in ATTACKS], max_iterations=2))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)  # nothing better is in the script
    events = await happened(EVENTS)
    for name, (_, _, reason) in ATTACKS.items():
        retried, tested = of(events, NodeRetried, name), of(events, NodeTested, name)
        assert [(one.iteration, one.stage) for one in retried] == [(1, "test")], name
        assert reason in retried[0].feedback, name
        assert reason in tested[0].report, name
        assert [one.ok for one in tested] == [False], name
    outcomes = {name: of(events, NodeTested, name)[0].outcome for name in ATTACKS}
    assert outcomes == {"forks.py": "crashed", "fills.py": "crashed", "calls.py": "failed"}


async def test_a_loop_without_end_is_a_failed_iteration_with_the_reason(
    log: Log, runner: Run, happened: Happened
) -> None:
    async with runner(test_timeout_s=2.0):
        await log.append(requested(module("loops.py", sources=one("loops.py", "", "while True:\n        pass"))))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "it ran longer than 2 s" in end.reason
    assert [one.outcome for one in of(await happened(EVENTS), NodeTested, "loops.py")] == ["timeout"]


async def test_a_cancel_ends_the_model_s_answer_and_what_is_tested(
    log: Log, replies: Any, runner: Run, happened: Happened
) -> None:
    never = replies.held(replies.start() + replies.words("It begins with"), asyncio.Event())
    endless = one("loops.py", "", "while True:\n        pass")
    async with replies.given(never) as asked, runner():
        await log.append(requested(module("loops.py", sources=endless), module("slow.py")))
        await eventually(lambda: pytests() and asked, within_s=30, what="the tests to run, and the model to be asked")
        await log.append(TaskCancelRequested(timestamp=datetime.now(UTC), task_id="t-1", reason="enough"))
        end = await end_of(happened)
        assert isinstance(end, TaskCancelled)
        assert end.reason == "enough"
        assert not pytests()
    assert not [one for one in await happened(EVENTS) if isinstance(one, NodeTested | NodeFailed)]


async def test_guidance_is_in_what_is_asked_next(log: Log, replies: Any, runner: Run, happened: Happened) -> None:
    wrong = files({"double.py": DOUBLE.replace("2 * x", "x"), "test_double.py": DOUBLE_TESTS})
    go_on = asyncio.Event()
    held = replies.held(replies.start(), go_on, replies.words(wrong) + replies.stop("end_turn"))
    async with replies.given(held, replies.text(files({"double.py": DOUBLE}))) as asked, runner():
        await log.append(requested(module("double.py")))
        await eventually(lambda: asked, within_s=30, what="the model to be asked")
        await log.append(TaskGuided(timestamp=datetime.now(UTC), task_id="t-1", guidance="multiply by two"))
        go_on.set()
        assert isinstance(await end_of(happened), TaskFinished)
    assert "who watches: multiply by two" in said(asked[-1])
    assert of(await happened(EVENTS), NodeTested, "double.py")[-1].ok


async def test_another_runner_goes_on_with_the_modules_that_succeeded_and_the_tries_that_did_not(
    log: Log, replies: Any, runner: Run, happened: Happened
) -> None:
    wrong = {"quad.py": QUAD.replace("double(double(x))", "double(x)"), "test_quad.py": QUAD_TESTS}
    first = [replies.text(files({"double.py": DOUBLE, "test_double.py": DOUBLE_TESTS})), replies.text(files(wrong))]
    never = replies.held(replies.start() + replies.words("It begins with"), asyncio.Event())
    async with replies.given(*first, never) as asked, runner("runner-1"):
        await log.append(requested(module("quad.py", "double.py"), module("double.py")))
        await eventually(lambda: len(asked) == 3, within_s=60, what="the second try to be asked for")
    async with replies.given(replies.text(files({"quad.py": QUAD}))) as asked, runner("runner-2"):
        assert isinstance(await end_of(happened), TaskFinished)
    assert "return double(x)" in asked[0]["messages"][1]["content"]
    assert "assert 4 == 8" in said(asked[0])
    events = await happened(EVENTS)
    assert [one.runner for one in events if isinstance(one, TaskClaimed)] == ["runner-1", "runner-2"]
    assert len(of(events, NodeGenerated, "double.py")) == len(of(events, NodeSucceeded, "double.py")) == 1
    assert [one.iteration for one in of(events, NodeGenerated, "quad.py")] == [1, 2]
    assert of(events, NodeGenerated, "quad.py")[-1].sources == {"quad.py": QUAD, "test_quad.py": QUAD_TESTS}


async def test_a_task_whose_modules_are_all_made_is_ended_by_a_runner_that_could_make_none(
    log: Log, runner: Run, happened: Happened
) -> None:
    """The runner before was gone between its last module and the end of the task."""
    ids: Any = {"timestamp": datetime.now(UTC), "task_id": "t-1"}
    sources = {"double.py": DOUBLE, "test_double.py": DOUBLE_TESTS}
    for event in (
        requested(module("double.py")),
        TaskClaimed(runner="gone", attempt=1, **ids),
        TaskPlanned(nodes=[module("double.py")], estimated_iterations=5, **ids),
        NodeGenerated(node_id="double.py", iteration=1, sources=sources, **ids),
        NodeSucceeded(node_id="double.py", iterations=1, **ids),
    ):
        await log.append(event)
    async with runner():  # which has no model
        assert isinstance(await end_of(happened), TaskFinished)


async def test_modules_that_fail_end_the_task_and_leave_alone_those_that_do_not_need_them(
    log: Log, runner: Run, happened: Happened
) -> None:
    wrong = {"double.py": DOUBLE.replace("2 * x", "x"), "test_double.py": DOUBLE_TESTS}
    idle = "import idle\n\n\ndef test_add() -> None:\n    assert callable(idle.add)\n"
    async with runner():
        await log.append(
            requested(
                module("double.py", sources=wrong),
                module("quad.py", "double.py", sources={"quad.py": QUAD, "test_quad.py": QUAD_TESTS}),
                module("adds.py", sources=one("adds.py")),
                module("idle.py", sources=one("idle.py") | {"test_idle.py": idle}),
            )
        )
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "double.py: 1 of 1 tests did not pass" in end.reason
    assert "quad.py: it needs double.py, which came to nothing" in end.reason
    assert "idle.py: All tests also pass when every function of the module only raises" in end.reason
    events = await happened(EVENTS)
    assert of(events, NodeStarted, "quad.py") == []
    assert len(of(events, NodeSucceeded, "adds.py")) == 1
