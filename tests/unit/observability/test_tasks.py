from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from benchwire.events.event import Event, IllegalToken
from benchwire.events.task import (
    Assertion,
    AssertionResult,
    NodeRetried,
    NodeSimulated,
    NodeTested,
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskPlanned,
    TaskRequested,
    UartLink,
)
from benchwire.events.testing.samples import samples
from benchwire.observability import commands, errors
from benchwire.observability.task import Status, Task, evolve
from benchwire.observability.wire import tasks as wire
from benchwire.observability.wire.requests import StartNode, StartTask

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
REQUESTED = TaskRequested(timestamp=AT, task_id="task-1", kind="firmware", prompt="blink")
CLAIMED = TaskClaimed(timestamp=AT, task_id="task-1", runner="runner-1")


def after(*events: Event) -> Task | None:
    task = None
    for event in events:
        task = evolve(task, event)
    return task


def frames(event: Event) -> list[dict[str, Any]]:
    return [msgspec.json.decode(one) for one in wire.frames(event, 7, succeeded=2)]


def test_the_first_end_of_a_task_counts() -> None:
    finished = TaskFinished(timestamp=AT, task_id="task-1", duration_s=1.0)
    cancelled = TaskCancelled(timestamp=AT, task_id="task-1")
    assert after(REQUESTED, CLAIMED, finished, cancelled) == Task(
        status=Status.COMPLETED, runner="runner-1", duration_s=1.0
    )
    assert after(cancelled) is None


def test_cancelling_tells_the_runner_and_is_done_where_there_is_none() -> None:
    assert isinstance(commands.cancel_task(after(REQUESTED), "task-1", AT), TaskCancelled)
    assert isinstance(commands.cancel_task(after(REQUESTED, CLAIMED), "task-1", AT), TaskCancelRequested)
    asked = TaskCancelRequested(timestamp=AT, task_id="task-1")
    assert commands.cancel_task(after(REQUESTED, CLAIMED, asked), "task-1", AT) is None
    assert isinstance(commands.close_task(after(REQUESTED, CLAIMED, asked), "task-1", CLAIMED.runner, AT), TaskFailed)
    with pytest.raises(errors.TaskNotRunning):
        commands.cancel_task(after(REQUESTED, TaskFailed(timestamp=AT, task_id="task-1", reason="r")), "task-1", AT)
    with pytest.raises(errors.TaskUnknown):
        commands.cancel_task(None, "task-1", AT)


def test_firmware_without_nodes_is_left_to_the_model_and_a_board_may_be_named_by_an_alias() -> None:
    made = commands.start_task(StartTask(prompt="blink", board="nrf51"), "task-1", AT)
    assert (made.kind, made.board, made.nodes) == ("firmware", "nrf51822", [])
    made = commands.start_task(StartTask(prompt="blink", kind="firmware"), "task-1", AT)
    assert (made.board, made.nodes, made.deploy) == (None, [], True)


def test_a_node_has_what_the_task_says_unless_it_says_so_itself() -> None:
    nodes = [StartNode(node_id="a"), StartNode(node_id="b", board="stm32f405", description="d", labels={"rack": "2"})]
    links = [UartLink(a="a", b="b")]
    asked = StartTask(prompt="p", board="nrf51", nodes=nodes, links=links, deploy=False)
    made = commands.start_task(asked, "task-1", AT)
    assert [(one.board, one.description, one.deploy, one.labels) for one in made.nodes] == [
        ("nrf51822", "p", False, {}),
        ("stm32f405", "d", False, {"rack": "2"}),
    ]
    assert (made.links, made.deploy) == (links, False)


def test_a_task_for_code_has_modules_that_are_files() -> None:
    made = commands.start_task(StartTask(prompt="p"), "task-1", AT)
    assert (made.kind, made.nodes, made.quality_target, made.deploy) == ("code", [], 0.8, False)
    nodes = [StartNode(node_id="parser"), StartNode(node_id="check.py", description="d", depends_on=["parser"])]
    made = commands.start_task(StartTask(prompt="p", kind="code", nodes=nodes, quality_target=1.0), "task-1", AT)
    assert [(one.node_id, one.board, one.depends_on) for one in made.nodes] == [
        ("parser.py", "", []),
        ("check.py", "", ["parser.py"]),
    ]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "prompt: say what is to be made"),
        ({"prompt": "p", "kind": "poem"}, "kind: it must be firmware or code"),
        ({"prompt": "p", "board": "toaster"}, "board: .*toaster.*there are"),
        ({"prompt": "p", "board": "esp32"}, "board: no simulator runs firmware for esp32 honestly.*choose one of .*esp32c3"),
        ({"prompt": "p", "board": "lm3s6965"}, "board: nothing here flashes lm3s6965 boards: .*deploy false"),
        ({"nodes": [{"node_id": "a", "board": "lm3s6965", "description": "d"}]}, r"nodes\[0\].board: nothing here flashes"),
        ({"prompt": "p", "nodes": [{"node_id": "a"}]}, r"nodes\[0\].board: it is missing"),
        ({"board": "stm32f405", "nodes": [{"node_id": "a"}]}, r"nodes\[0\].description"),
        ({"board": "stm32f405", "nodes": [{"node_id": "a", "description": "d", "depends_on": ["b"]}]}, "depends_on: only modules"),
        ({"prompt": "p", "quality_target": 1.1}, "quality_target"),
        ({"prompt": "p", "quality_target": -0.1}, "quality_target"),
        ({"prompt": "p", "kind": "code", "board": "stm32f405"}, "board: code is made for none"),
        ({"prompt": "p", "kind": "code", "nodes": [{"node_id": "a", "board": "stm32f405"}]}, r"nodes\[0\].board: a module"),
        ({"prompt": "p", "kind": "code", "nodes": [{"node_id": "a/b"}]}, "no file name for a module"),
        ({"prompt": "p", "kind": "code", "nodes": [{"node_id": "test_a"}]}, "its tests come by themselves"),
        ({"prompt": "p", "kind": "code", "nodes": [{"node_id": "a"}, {"node_id": "a.py"}]}, "same node_id"),
        ({"prompt": "p", "kind": "code", "nodes": [{"node_id": "a", "depends_on": ["b"]}]}, "'b.py' is no other of the modules"),
        ({"prompt": "p", "kind": "code", "nodes": [{"node_id": "a", "sources": {"b.py": ""}}]}, "a.py and test_a.py"),
        ({"prompt": "p", "links": [{"a": "x", "b": "y"}]}, r"links\[0\]: 'x' is none of the nodes"),
        ({"board": "stm32f405", "prompt": "p", "nodes": [{"node_id": "a"}], "links": [{"a": "a", "b": "a"}]}, "with itself"),
        (
            {
                "board": "stm32f405", "prompt": "p", "nodes": [{"node_id": "a"}, {"node_id": "b"}],
                "links": [{"a": "a", "b": "b"}, {"a": "b", "b": "a"}],
            },
            "joined already",
        ),
        (
            {
                "board": "stm32f405", "prompt": "p", "nodes": [{"node_id": f"n{number}"} for number in range(9)],
                "links": [{"a": f"n{number}", "b": f"n{number + 1}"} for number in range(8)],
            },
            "9 nodes would be joined",
        ),
        ({"board": "stm32f405", "prompt": "p", "max_iterations": 0}, "max_iterations"),
        ({"board": "stm32f405", "prompt": "p", "simulation_timeout_s": 1e9}, "simulation_timeout_s"),
        ({"board": "stm32f405", "nodes": [{"node_id": "a", "description": "d"}] * 2}, "same node_id"),
        ({"board": "stm32f405", "nodes": [{"node_id": "a", "sources": {"../main.c": ""}}]}, "plain file name"),
    ],
)  # fmt: skip
def test_what_could_never_be_done_is_refused_with_the_field_and_the_way_out(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.Unusable, match=says):
        commands.start_task(msgspec.convert(asked, StartTask), "task-1", AT)


@pytest.mark.parametrize(
    ("assertion", "says"),
    [
        ({"pattern": "x", "kind": "smell"}, "kind is substring"),
        ({"pattern": ""}, "empty pattern"),
        ({"pattern": "(", "kind": "regex"}, "no regular expression"),
        ({"pattern": r"(a)\1", "kind": "regex"}, "RE2"),
        ({"kind": "order"}, "at least two texts"),
        ({"kind": "order", "patterns": ["a", ""]}, "none that is empty"),
        ({"kind": "count", "pattern": "x"}, "min_count, max_count or both"),
        ({"kind": "count", "pattern": "x", "min_count": 3, "max_count": 2}, "the first not above the second"),
        ({"kind": "range", "pattern": "t=(\\d+)"}, "minimum, maximum or both"),
        ({"kind": "range", "pattern": "t=(\\d+)", "group": "7", "minimum": 1}, "has no group '7'"),
        ({"pattern": "x", "within_s": 0}, "within_s"),
    ],
)
def test_an_assertion_that_cannot_be_judged_is_refused(assertion: dict[str, Any], says: str) -> None:
    node = {"node_id": "a", "description": "d", "assertions": [{"name": "n", **assertion}]}
    asked = msgspec.convert({"board": "stm32f405", "nodes": [node]}, StartTask)
    with pytest.raises(errors.Unusable, match=rf"nodes\[0\].assertions: assertion 'n': .*{says}"):
        commands.start_task(asked, "task-1", AT)


def test_a_node_id_that_cannot_stand_in_a_subject_is_refused() -> None:
    asked = StartTask(board="stm32f405", nodes=[StartNode(node_id="a.b", description="d")])
    with pytest.raises(IllegalToken):
        commands.start_task(asked, "task-1", AT)


def test_a_simulation_that_passed_is_told_as_an_iteration_and_as_tests_that_passed() -> None:
    event = NodeSimulated(
        timestamp=AT, task_id="task-1", node_id="n", iteration=2, ok=True, outcome="timeout",
        assertions=[AssertionResult(name="a", passed=True), AssertionResult(name="b", passed=False, required=False)],
    )  # fmt: skip
    iteration, passed = frames(event)
    assert iteration["type"] == "MODULE_ITERATION"
    assert iteration["data"]["test_pass_rate"] == 0.5
    assert (passed["type"], passed["data"]["tests"]) == ("TEST_PASSED", ["a"])


def test_tests_of_a_module_are_told_as_an_iteration_with_its_score_and_as_passed_when_all_did() -> None:
    event = NodeTested(
        timestamp=AT, task_id="task-1", node_id="a.py", iteration=2, ok=False, outcome="passed", tests_passed=4, quality_score=0.7,
        measures={"tests": 1.0, "coverage": 0.5}, weights={"tests": 0.4, "coverage": 0.6},
    )  # fmt: skip
    iteration, passed = frames(event)
    assert {name: iteration["data"][name] for name in ("module", "iteration", "test_pass_rate", "quality_score")} == {
        "module": "a.py", "iteration": 2, "test_pass_rate": 1.0, "quality_score": 0.7,
    }  # fmt: skip
    assert (passed["type"], passed["data"]["tests_passed"]) == ("TEST_PASSED", 4)
    failed = msgspec.structs.replace(event, outcome="failed", tests_failed=4)
    (iteration,) = frames(failed)
    assert iteration["data"]["test_pass_rate"] == 0.5
    crashed = msgspec.structs.replace(event, outcome="crashed", tests_passed=0)
    (iteration,) = frames(crashed)
    assert iteration["data"]["test_pass_rate"] == 0.0


def test_an_iteration_is_told_once_and_a_retry_in_any_case() -> None:
    compile_failed = NodeRetried(
        timestamp=AT, task_id="task-1", node_id="n", iteration=1, stage="compile", feedback="f"
    )
    assert [one["type"] for one in frames(compile_failed)] == ["MODULE_ITERATION", "MODULE_RETRIED"]
    for stage in ("simulate", "assert", "test", "quality"):
        (retried,) = frames(msgspec.structs.replace(compile_failed, stage=stage))
        assert (retried["type"], retried["data"]["stage"], retried["data"]["feedback"]) == (
            "MODULE_RETRIED",
            stage,
            "f",
        )


def test_frames_carry_what_clients_read() -> None:
    (started,) = frames(REQUESTED)
    assert (started["type"], started["task_id"], started["data"]["goal"]) == ("TASK_STARTED", "task-1", "blink")
    (planned,) = frames(TaskPlanned(timestamp=AT, task_id="task-1", nodes=[], estimated_iterations=3))
    assert planned["data"] == {"modules": [], "estimated_iterations": 3, "summary": "", "links": []}
    (done,) = frames(TaskFinished(timestamp=AT, task_id="task-1", duration_s=225.0))
    assert (done["type"], done["data"]["total_time"], done["data"]["modules_generated"]) == (
        "TASK_COMPLETE",
        "3m 45s",
        2,
    )


def test_every_event_of_the_catalog_can_be_told() -> None:
    for event in samples():
        for frame in wire.frames(event, 1, succeeded=0):
            assert msgspec.json.decode(frame)["type"].isupper()


def test_an_assertion_is_a_substring_unless_it_says_otherwise() -> None:
    assert msgspec.convert({"name": "n", "pattern": "p"}, Assertion).kind == "substring"
