"""From events to a cassette, and two cassettes beside each other."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from benchwire.agent.code import plan as outlines
from benchwire.agent.code import prompt as of_code
from benchwire.agent.firmware import prompt as of_firmware
from benchwire.agent.firmware.design import DesignedSystem
from benchwire.boards import profile as profiles
from benchwire.deploy.recording import NotRecordable, of_session, of_task
from benchwire.deploy.recording.comparing import differences
from benchwire.deploy.scripted import script, wire
from benchwire.deploy.scripted.cassette import Cassette, Decision, End, Said, SessionAsked, TaskAsked
from benchwire.events.event import Event
from benchwire.events.session import (
    Budget,
    MessageRequested,
    MessageSent,
    ModelUsed,
    SessionEnded,
    SessionRequested,
    SessionStarted,
    ToolApprovalRequested,
    ToolDecided,
    ToolReturned,
)
from benchwire.events.task import (
    Assertion,
    NodeCompiled,
    NodeGenerated,
    NodeRetried,
    NodeSpec,
    NodeTested,
    TaskFinished,
    TaskPlanned,
    TaskRequested,
    UartLink,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
OF: dict[str, Any] = {"timestamp": AT, "session_id": "s"}
OF_TASK: dict[str, Any] = {"timestamp": AT, "task_id": "task-1"}
OF_NODE: dict[str, Any] = {**OF_TASK, "node_id": "a.py", "iteration": 1}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}}


def text(words: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": words}]


def used(stop_reason: str | None) -> ModelUsed:
    return ModelUsed(**OF, model="claude", input_tokens=5, output_tokens=2, stop_reason=stop_reason)


ASKED = SessionRequested(
    **OF, session_name="s", prompt="look", budget=Budget(max_tokens=9), ask_before=["bash"], project_dir="/home/me"
)
RUN: list[Event] = [
    ASKED,
    SessionStarted(**OF),
    MessageSent(**OF, role="user", content=text("look")),
    used(None),  # of an answer that broke off
    MessageSent(**OF, role="assistant", content=[*text("I look."), CALL]),
    used("tool_use"),
    ToolApprovalRequested(**OF, tool_use_id="toolu_1", tool_name="bash", expires_at=AT),
    ToolDecided(**OF, tool_use_id="toolu_1", approved=True, by="ada"),
    MessageRequested(**OF, message_id="m1", text="hurry"),
    ToolReturned(**OF, tool_name="bash", tool_use_id="toolu_1", tool_output="a.c"),
    MessageSent(**OF, role="user", content=text("hurry"), message_id="m1"),
    MessageSent(**OF, role="assistant", content=text("Done.")),
    used("end_turn"),
    SessionEnded(**OF),
    SessionRequested(**OF, session_name="s", prompt="and now", message_id="m2"),
    MessageSent(**OF, role="user", content=text("and now"), message_id="m2"),
    MessageSent(**OF, role="assistant", content=text("Over.")),
    used("end_turn"),
    SessionEnded(**OF),
]  # fmt: skip


def test_a_session_becomes_its_answers_with_what_tools_and_people_did() -> None:
    made = of_session.cassette_of(RUN)
    assert isinstance(made.request, SessionAsked)
    assert made.request.body["prompt"] == "look"
    assert made.request.body["budget"]["max_tokens"] == 9
    assert (made.request.body["model"], made.request.body["max_turns"]) == ("claude", 50)
    assert "project_dir" not in made.request.body
    assert made.request.said == [Said(text="hurry", during=1), Said(text="and now", during=2, resumed=True)]
    assert made.request.decisions == [Decision(tool_use_id="toolu_1", approved=True, by="ada")]
    (own,) = made.conversation
    assert [one.stop_reason for one in own.turn] == ["tool_use", "end_turn", "end_turn"]
    assert own.turn[0].content == [*text("I look."), CALL]
    assert own.turn[0].usage == wire.Usage(input_tokens=5, output_tokens=2)
    assert [(one.name, one.id, one.output) for one in own.turn[0].results] == [("bash", "toolu_1", "a.c")]
    assert (made.end, made.model) == (End(status="finished"), "claude")


def test_the_sessions_that_it_started_are_conversations_too() -> None:
    child: list[Event] = [
        SessionRequested(timestamp=AT, session_id="c", session_name="c", prompt="part"),
        MessageSent(timestamp=AT, session_id="c", role="assistant", content=text("Part done.")),
        ToolDecided(timestamp=AT, session_id="c", tool_use_id="toolu_c", approved=False),
    ]
    made = of_session.cassette_of(RUN, children=[child, []])
    assert [(one.first, len(one.turn)) for one in made.conversation] == [("look", 3), ("part", 1)]
    assert isinstance(made.request, SessionAsked)
    assert [one.tool_use_id for one in made.request.decisions] == ["toolu_1", "toolu_c"]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([SessionStarted(**OF)], "no agent of this lab ran it"),
        ([SessionStarted(**OF, forked_from_session_id="o"), ASKED], "from the middle of another session"),
    ],
)
def test_what_has_no_model_traffic_of_its_own_is_refused(events: list[Event], why: str) -> None:
    with pytest.raises(NotRecordable, match=why):
        of_session.cassette_of(events)


CODE_NODE = NodeSpec(node_id="a.py", description="add(x, y)")
NEEDED = NodeSpec(node_id="b.py", description="sub(x, y)", depends_on=["a.py"])
PROGRAM: list[Event] = [
    TaskRequested(**OF_TASK, kind="code", prompt="sums", quality_target=0.9),
    TaskPlanned(**OF_TASK, nodes=[CODE_NODE, NEEDED], estimated_iterations=2, summary="two", model="claude"),
    NodeRetried(**OF_NODE, stage="generate", feedback="no code"),
    NodeGenerated(
        **{**OF_NODE, "iteration": 2}, sources={"a.py": 'S = """```"""\n', "test_a.py": "y\n"}, model="claude"
    ),
    NodeTested(**{**OF_NODE, "iteration": 2}, ok=True, outcome="passed", tests_passed=1, quality_score=0.95),
    TaskFinished(**OF_TASK, duration_s=1.0),
]


def asked(words: str, *, structured: bool = False) -> wire.Request:
    config = {"format": {"type": "json_schema"}} if structured else None
    return wire.Request(
        model="m", max_tokens=9, messages=[wire.Message(role="user", content=words)], output_config=config
    )


def first_of(node: NodeSpec, needed: dict[str, str]) -> str:
    return of_code.first(node, task="sums", needed=needed, target=0.9, timeout_s=9.0)


def test_a_program_becomes_its_plan_and_its_modules_and_the_agent_gets_each_where_it_asks() -> None:
    made = of_task.cassette_of(PROGRAM)
    assert isinstance(made.request, TaskAsked)
    told = [made.request.body[name] for name in ("prompt", "quality_target", "max_iterations", "deploy")]
    assert told == ["sums", 0.9, 5, True]
    assert "task_id" not in made.request.body
    plays = script.Script(conversations=made.conversation)
    outline = msgspec.json.decode(
        plays.choose(asked(of_code.plan("sums"), structured=True)).text, type=outlines.Outline
    )
    assert [one.node_id for one in outlines.outlined(outline)] == ["a.py", "b.py"]
    assert plays.choose(asked(first_of(CODE_NODE, {}))).text == of_task.NO_SOURCES
    again = of_code.files_of(made.conversation[1].turn[1].text, "a.py")
    assert again == {"a.py": 'S = """```"""\n', "test_a.py": "y\n"}
    assert made.conversation[1].turn[1].results[0].output.startswith("passed: 1 passed, 0 failed")
    assert plays.choose(asked(first_of(NEEDED, {"a.py": "x"}))).text == script.UNKNOWN


def test_nodes_of_one_board_whose_uarts_are_joined_are_told_apart() -> None:
    nodes = [
        NodeSpec(node_id=name, board="stm32f405", description=f"Be the {name}.", assertions=[Assertion(name="x", pattern="x")])
        for name in ("hub", "sensor")
    ]  # fmt: skip
    events: list[Event] = [
        TaskRequested(**OF_TASK, kind="firmware", prompt="both"),
        TaskPlanned(**OF_TASK, nodes=nodes, links=[UartLink(a="hub", b="sensor")], estimated_iterations=2, model="claude"),
    ]  # fmt: skip
    for node in nodes:
        of = {**OF_TASK, "node_id": node.node_id, "iteration": 1}
        events += [
            NodeGenerated(**of, sources={"main.c": f"// {node.node_id}\n"}, model="claude"),
            NodeCompiled(**of, ok=True),
        ]
    made = of_task.cassette_of(events)
    plays = script.Script(conversations=made.conversation)
    board = profiles.load("stm32f405")
    for node, other in (nodes, nodes[::-1]):
        first = of_firmware.first(board, node, task="both", guidance=["be quick"], joined=[other])
        code = of_firmware.code_of(plays.choose(asked(first)).text)
        assert code is not None
        assert code.strip() == f"// {node.node_id}"
    system = msgspec.json.decode(plays.choose(asked("x", structured=True)).text, type=DesignedSystem)
    assert [one.node_id for one in system.nodes] == ["hub", "sensor"]
    assert (system.links[0].a, system.nodes[0].assertions[0].pattern) == ("hub", "x")


def test_a_system_without_links_is_a_design_all_the_same() -> None:
    events: list[Event] = [
        TaskRequested(**OF_TASK, kind="firmware", prompt="one"),
        TaskPlanned(
            **OF_TASK, nodes=[NodeSpec(node_id="one", board="esp32c3")], estimated_iterations=1, model="claude"
        ),
    ]
    (plan,) = of_task.cassette_of(events).conversation
    system = msgspec.json.decode(plan.turn[0].text, type=DesignedSystem)
    assert (system.nodes[0].board, system.nodes[0].assertions, system.links) == ("esp32c3", [], [])


def changed(made: Cassette, output: str) -> Cassette:
    first, *others = made.conversation[0].turn
    turn = replace(first, results=[replace(first.results[0], output=output)])
    return replace(made, conversation=[replace(made.conversation[0], turn=[turn, *others])])


def test_the_same_has_no_differences_whatever_it_cost() -> None:
    made = of_session.cassette_of(RUN)
    dearer = of_session.cassette_of(
        [replace(one, input_tokens=99) if isinstance(one, ModelUsed) else one for one in RUN]
    )
    assert differences(made, dearer) == []


def test_another_output_is_a_difference_unless_one_is_lenient() -> None:
    made = of_session.cassette_of(RUN)
    other = changed(made, "b.c\x1b[2J")
    assert [line for line in differences(made, other)[3:] if line[0] in "+-"] == ["-  | a.c", "+  | b.c\\x1b[2J"]
    assert differences(made, other, lenient=True) == []


def test_a_message_that_was_heard_later_and_another_end_are_differences_even_then() -> None:
    made = of_session.cassette_of(RUN)
    assert isinstance(made.request, SessionAsked)
    late = replace(
        made, request=replace(made.request, said=[replace(made.request.said[0], during=2), made.request.said[1]])
    )
    assert differences(made, late, lenient=True)
    failed = replace(made, end=End(status="failed", code="max_turns"))
    assert "+end: failed (max_turns)" in differences(made, failed, lenient=True)
