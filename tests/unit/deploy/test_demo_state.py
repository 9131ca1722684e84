"""What the demo shows and what it demands, from lists of events alone."""

import io
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from benchwire.deploy import demo_task
from benchwire.deploy.demo_checks import Check, checks
from benchwire.deploy.state import SERIAL_LINES, State, evolve
from benchwire.deploy.view import picture, room_in, table_of
from benchwire.events.event import Artifact, Event
from benchwire.events.flash import FlashCompleted, FlashFailed, FlashRequested, FlashStarted
from benchwire.events.live import FlashProgress, SerialLine
from benchwire.events.task import (
    AssertionResult,
    NodeCompiled,
    NodeDeployed,
    NodeDeploying,
    NodeGenerated,
    NodeImageStored,
    NodeRetried,
    NodeSimulated,
    NodeSpec,
    NodeStarted,
    NodeSucceeded,
    TaskCancelled,
    TaskFailed,
    TaskFinished,
    TaskPlanned,
    TaskRequested,
)
from benchwire.events.testing.samples import AT, samples

TASK = "task-1"
NODES = demo_task.expected(scripted=True)
HOST: dict[str, Any] = {"timestamp": AT, "host": "lab"}


def _of(node_id: str) -> dict[str, Any]:
    return {"timestamp": AT, "task_id": TASK, "node_id": node_id}


def _image(node_id: str) -> Artifact:
    return Artifact(digest=("a" if node_id == "stm32" else "b") * 64, size_bytes=1000, name=f"{node_id}.bin")


def _compiled(node_id: str, iteration: int, *, ok: bool) -> NodeCompiled:
    sizes: dict[str, Any] = (
        {"flash_bytes": 1000, "flash_limit_bytes": 4000, "ram_bytes": 500, "ram_limit_bytes": 1000} if ok else {}
    )
    said = "" if ok else "main.c: In function 'main':\nmain.c:14:24: error: expected ';'"
    return NodeCompiled(**_of(node_id), iteration=iteration, ok=ok, diagnostics=said, **sizes)


def _simulated(node_id: str, iteration: int, *, ok: bool) -> NodeSimulated:
    results = [AssertionResult(name="boots", passed=True), AssertionResult(name="passes", passed=ok)]
    outcome, output = ("passed", "BOOT\r\nSELFTEST PASS\r\n") if ok else ("timeout", "BOOT\r\n")
    return NodeSimulated(**_of(node_id), iteration=iteration, ok=ok, outcome=outcome, output=output, assertions=results)


def _tries(node_id: str, stages: tuple[str, ...]) -> list[Event]:
    events: list[Event] = []
    for iteration, stage in enumerate((*stages, ""), start=1):
        events.append(NodeGenerated(**_of(node_id), iteration=iteration, sources={"main.c": "x"}))
        events.append(_compiled(node_id, iteration, ok=stage != "compile"))
        if stage != "compile":
            events.append(_simulated(node_id, iteration, ok=not stage))
        if stage:
            events.append(NodeRetried(**_of(node_id), iteration=iteration, stage=stage, feedback="no"))
    return events


def _deployed(node_id: str, device: str, tries: int) -> list[Event]:
    job: dict[str, Any] = {**HOST, "job_id": f"job-{node_id}", "device": device}
    return [
        NodeImageStored(**_of(node_id), iteration=tries, image=_image(node_id), elf=_image(node_id)),
        NodeDeploying(**_of(node_id), host="lab", device=device, job_id=f"job-{node_id}"),
        FlashRequested(**job, image=_image(node_id), address=0, task_id=TASK, node_id=node_id),
        FlashStarted(**job, total_bytes=1000, driver="pyocd"),
        FlashProgress(**job, stage="connecting"),
        FlashProgress(**job, stage="writing", done_bytes=500, total_bytes=1000, speed_bytes_per_s=2000.0),
        FlashCompleted(**job, total_bytes=1000, duration_s=0.5, verified_by="pyocd: read back"),
        SerialLine(**job, line="SELFTEST PASS", number=3),
        NodeDeployed(**_of(node_id), host="lab", device=device, job_id=f"job-{node_id}", line="SELFTEST PASS"),
        NodeSucceeded(**_of(node_id), iterations=tries),
    ]


def whole() -> list[Event]:
    specs = [NodeSpec(node_id=one.node_id, board=one.board) for one in NODES]
    events: list[Event] = [
        TaskRequested(timestamp=AT, task_id=TASK, kind="firmware", nodes=specs),
        TaskPlanned(timestamp=AT, task_id=TASK, nodes=specs, estimated_iterations=10),
    ]
    for one, device in zip(NODES, ("stm32f405-1", "esp32c3-1"), strict=True):
        assert one.retries is not None
        events.append(NodeStarted(**_of(one.node_id), board=one.board))
        events += _tries(one.node_id, one.retries)
        events += _deployed(one.node_id, device, len(one.retries) + 1)
    return [*events, TaskFinished(timestamp=AT, task_id=TASK, duration_s=8.0)]


def without(*kinds: type[Event]) -> list[Event]:
    return [one for one in whole() if not isinstance(one, kinds)]


def missing(events: list[Event]) -> list[str]:
    return [one.what for one in checks(events, TASK, NODES) if not one.passed]


def state_of(events: list[Event]) -> State:
    state = State(task_id=TASK)
    for event in events:
        state = evolve(state, event)
    return state


def drawn(state: State) -> str:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(picture(state))
    return console.export_text()


def test_a_demo_in_which_all_of_it_happened_passes_every_check() -> None:
    assert missing(whole()) == []


def test_nothing_heard_means_that_nothing_passed() -> None:
    assert not any(one.passed for one in checks([], TASK, NODES))


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (NodeRetried, "stm32: retried as scripted"),
        (NodeCompiled, "stm32: builds"),
        (NodeSimulated, "stm32: simulated"),
        (NodeImageStored, "stm32: image stored"),
        (NodeDeploying, "stm32: flash started"),
        (FlashRequested, "stm32: flash started"),
        (FlashStarted, "stm32: flash started"),
        (FlashProgress, "stm32: flash progress seen"),
        (FlashCompleted, "stm32: flashed and verified"),
        (SerialLine, "stm32: the board prints it"),
        (NodeSucceeded, "stm32: succeeded"),
        (TaskFinished, "task finished"),
    ],
)
def test_what_did_not_happen_is_named(kind: type[Event], named: str) -> None:
    assert named in missing(without(kind))


def test_a_line_after_another_flash_job_does_not_count() -> None:
    events = [replace(one, job_id="job-old") if isinstance(one, SerialLine) else one for one in whole()]
    assert missing(events) == ["stm32: the board prints it", "esp: the board prints it"]


def test_a_flash_that_nobody_verified_does_not_count() -> None:
    events = [replace(one, verified_by="") if isinstance(one, FlashCompleted) else one for one in whole()]
    assert "stm32: flashed and verified" in missing(events)


def test_flashing_other_bytes_than_the_stored_ones_does_not_count() -> None:
    other = Artifact(digest="c" * 64, size_bytes=1, name="x")
    events = [replace(one, image=other) if isinstance(one, FlashRequested) else one for one in whole()]
    assert "esp: flash started" in missing(events)


def test_retries_at_other_stages_than_the_scripted_ones_do_not_count() -> None:
    events = [replace(one, stage="simulate") if isinstance(one, NodeRetried) else one for one in whole()]
    assert missing(events) == ["stm32: retried as scripted", "esp: retried as scripted"]


def test_a_real_model_may_try_as_often_as_it_likes() -> None:
    found = checks(without(NodeRetried), TASK, demo_task.expected(scripted=False))
    assert all(one.passed for one in found)


def test_events_of_another_task_do_not_count() -> None:
    assert not any(one.passed for one in checks(whole(), "task-2", NODES))


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (TaskFailed(timestamp=AT, task_id=TASK, reason="no board"), "it failed: no board"),
        (TaskCancelled(timestamp=AT, task_id=TASK), "it was cancelled"),
    ],
)
def test_a_task_that_ended_otherwise_says_how(end: Event, told: str) -> None:
    assert checks([*without(TaskFinished), end], TASK, NODES)[-1] == Check("task finished", passed=False, detail=told)


def test_the_state_follows_the_tries_of_a_node() -> None:
    events = whole()
    upto = next(place for place, one in enumerate(events) if isinstance(one, NodeRetried)) + 1
    node = state_of(events[:upto]).nodes["stm32"]
    assert (node.stage, node.iteration, node.builds) == ("generating", 2, False)
    assert [one.stage for one in node.retries] == ["compile"]
    assert node.diagnostics[1] == "main.c:14:24: error: expected ';'"


def test_a_new_try_forgets_what_the_last_one_showed() -> None:
    events = [_compiled("stm32", 1, ok=False), NodeGenerated(**_of("stm32"), iteration=2, sources={})]
    node = state_of([*whole()[:3], *events]).nodes["stm32"]
    assert (node.stage, node.builds, node.diagnostics) == ("compiling", None, ())


def test_the_state_of_a_whole_demo_is_finished() -> None:
    state = state_of(whole())
    assert state.is_over
    assert {node.stage for node in state.nodes.values()} == {"succeeded"}
    assert {job.stage for job in state.jobs.values()} == {"completed"}
    assert state.jobs["job-esp"].samples == 2
    assert state.samples + state.facts == len(whole())


def test_a_sample_that_comes_late_does_not_undo_the_end_of_a_job() -> None:
    late = FlashProgress(**HOST, job_id="job-esp", device="esp32c3-1", stage="writing", done_bytes=1, total_bytes=1000)
    job = state_of([*whole(), late]).jobs["job-esp"]
    assert (job.stage, job.done_bytes, job.samples) == ("completed", 1000, 3)


def test_a_failed_flash_says_why() -> None:
    failed = FlashFailed(**HOST, job_id="job-esp", device="e", code="lost", error="gone", flash_state="partial")
    state = state_of([*without(FlashCompleted, TaskFinished), failed])
    assert (state.jobs["job-esp"].stage, state.jobs["job-esp"].error) == ("failed", "gone")
    assert "gone" in drawn(state)


def test_jobs_of_other_tasks_are_not_shown() -> None:
    other = FlashRequested(**HOST, job_id="j", device="d", image=_image("esp"), address=0, task_id="task-9")
    assert state_of([other]).jobs == {}


def test_only_the_last_lines_of_a_board_are_kept() -> None:
    lines = [SerialLine(**HOST, device="d", line=f"tick {one}", number=one) for one in range(50)]
    kept = state_of([*lines]).serial["d"]
    assert len(kept) == SERIAL_LINES
    assert kept[-1] == "tick 49"


def test_the_state_takes_every_kind_of_event() -> None:
    assert state_of(samples()).facts > 0


def test_every_moment_of_a_demo_can_be_drawn() -> None:
    events = whole()
    for upto in range(len(events) + 1):
        assert TASK in drawn(state_of(events[:upto]))


def test_the_picture_shows_the_compilers_first_error() -> None:
    events = whole()
    upto = next(place for place, one in enumerate(events) if isinstance(one, NodeCompiled)) + 1
    assert "try 1  line 14: expected ';'" in drawn(state_of(events[:upto]))


def test_the_last_picture_shows_memory_jobs_and_what_the_boards_print() -> None:
    text = drawn(state_of(whole()))
    for part in (
        "1000 B of 3.9 KiB (25.0%)",
        "1000 B in 0.5 s, verified by pyocd",
        "stm32f405-1 prints",
        "SELFTEST PASS",
    ):
        assert part in text


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (100, 30), (160, 50)])
def test_the_picture_fits_the_terminal_and_keeps_its_height(columns: int, rows: int) -> None:
    events = whole()
    heights = set()
    for upto in range(len(events) + 1):
        console = Console(file=io.StringIO(), width=columns, height=rows)
        heights.add(len(console.render_lines(picture(state_of(events[:upto]), room_in(rows)))))
    assert len(heights) == 1
    assert max(heights) < rows


def test_a_try_that_did_not_pass_says_why() -> None:
    stm32 = state_of(whole()).nodes["stm32"]
    assert [one.why for one in stm32.retries] == ["no", "missed: passes"]


def test_a_board_cannot_write_markup_into_the_picture() -> None:
    line = SerialLine(**HOST, device="d", line="[bold]x[/nothing] \x1b[2J", number=1)
    assert "[bold]x[/nothing]" in drawn(state_of([line]))


def test_a_check_that_failed_is_marked() -> None:
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(table_of(checks(without(SerialLine), TASK, NODES)))
    assert "MISSING  stm32: the board prints it" in console.export_text()


def test_the_request_of_the_demo_fits_its_nodes() -> None:
    body = demo_task.request(NODES)
    assert [node["board"] for node in body["nodes"]] == ["stm32f405", "esp32c3"]
    assert all(node["expect"] == "SELFTEST PASS" and node["deploy"] for node in body["nodes"])
