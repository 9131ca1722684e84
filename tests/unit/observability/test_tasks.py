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
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskPlanned,
    TaskRequested,
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


def test_a_task_without_nodes_gets_one_and_a_board_may_be_named_by_an_alias() -> None:
    asked = StartTask(prompt="blink", board="stm32f407vg")
    made = commands.start_task(asked, "task-1", AT)
    assert made.kind == "firmware"
    assert [(node.node_id, node.board, node.description) for node in made.nodes] == [("node-1", "stm32f405", "blink")]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"prompt": "p"}, "kind: tasks for code"),
        ({"prompt": "p", "kind": "poem"}, "kind: it must be firmware"),
        ({"prompt": "p", "board": "toaster"}, "board: .*toaster.*there are"),
        ({"prompt": "p", "board": "esp32"}, "board: no simulator runs firmware for esp32 honestly.*choose one of esp32c3"),
        ({"kind": "firmware", "prompt": "p"}, r"nodes\[0\].board: it is missing"),
        ({"board": "stm32f405"}, r"nodes\[0\].description"),
        ({"board": "stm32f405", "prompt": "p", "max_iterations": 0}, "max_iterations"),
        ({"board": "stm32f405", "prompt": "p", "simulation_timeout_s": 1e9}, "simulation_timeout_s"),
        ({"board": "stm32f405", "nodes": [{"node_id": "a", "description": "d"}] * 2}, "same node_id"),
        ({"board": "stm32f405", "nodes": [{"node_id": "a", "sources": {"../main.c": ""}}]}, "plain file name"),
        (
            {"board": "stm32f405", "nodes": [{"node_id": "a", "description": "d", "assertions": [{"name": "n", "pattern": "(", "kind": "regex"}]}]},
            "not a regular expression",
        ),
        (
            {"board": "stm32f405", "nodes": [{"node_id": "a", "description": "d", "assertions": [{"name": "n", "pattern": "x", "kind": "smell"}]}]},
            "kind must be one of",
        ),
    ],
)  # fmt: skip
def test_what_could_never_be_done_is_refused_with_the_field_and_the_way_out(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.Unusable, match=says):
        commands.start_task(msgspec.convert(asked, StartTask), "task-1", AT)


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


def test_a_retry_is_told_once_whether_or_not_it_got_to_the_simulator() -> None:
    compile_failed = NodeRetried(
        timestamp=AT, task_id="task-1", node_id="n", iteration=1, stage="compile", feedback="f"
    )
    assert [one["type"] for one in frames(compile_failed)] == ["MODULE_ITERATION"]
    assert frames(msgspec.structs.replace(compile_failed, stage="assert")) == []


def test_frames_carry_what_clients_read() -> None:
    (started,) = frames(REQUESTED)
    assert (started["type"], started["task_id"], started["data"]["goal"]) == ("TASK_STARTED", "task-1", "blink")
    (planned,) = frames(TaskPlanned(timestamp=AT, task_id="task-1", nodes=[], estimated_iterations=3))
    assert planned["data"] == {"modules": [], "estimated_iterations": 3}
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
