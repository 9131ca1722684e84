"""What is planned, what the model is told, and what its answer holds."""

from datetime import UTC, datetime
from typing import Any

import pytest

from benchwire.agent.firmware import author, prompt
from benchwire.agent.firmware.deploy import wanted
from benchwire.agent.firmware.plan import CannotPlan, groups, joined_to, plan
from benchwire.agent.tools.assertions import judge
from benchwire.agent.tools.printed import Printed
from benchwire.agent.tools.simulator import Outcome, Simulation
from benchwire.boards import profile as profiles
from benchwire.events.task import Assertion, NodeSpec, TaskRequested, UartLink

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)


def request(**fields: Any) -> TaskRequested:
    return TaskRequested(timestamp=NOW, task_id="t", kind="firmware", **fields)


def spec(**fields: Any) -> NodeSpec:
    return NodeSpec(**{"node_id": "node-1", "board": "stm32f405", "description": "blink", **fields})


def link(a: str, b: str) -> UartLink:
    return UartLink(a=a, b=b)


NODES = [spec(node_id=f"n{one}") for one in range(9)]


def test_those_that_links_join_by_any_way_are_a_group() -> None:
    links = [link("n4", "n2"), link("n7", "n4"), link("n0", "n8")]
    found = [[one.node_id for one in group] for group in groups(NODES, links)]
    assert found == [["n0", "n8"], ["n1"], ["n2", "n4", "n7"], ["n3"], ["n5"], ["n6"]]
    assert joined_to("n4", links) == ["n2", "n7"]


@pytest.mark.parametrize("name", profiles.simulated_names())
def test_the_model_is_told_what_the_board_and_its_simulator_are_like(name: str) -> None:
    profile = profiles.load(name)
    header = author._header(profile)
    told = prompt.first(profile, spec(board=name), task="", guidance=[], header=header)
    assert profile.notes_for_model.strip() in told
    assert "simulator" in profile.notes_for_model
    assert all(f"{call}(" in told for call in ("board_init", "uart_puts", "uart_getc_nonblocking", "delay_ms"))


@pytest.mark.parametrize("name", ["stm32f103", "stm32f405"])
def test_the_model_is_told_where_the_simulated_chip_is_not_the_real_one(name: str) -> None:
    profile = profiles.load(name)
    told = prompt.first(profile, spec(board=name), task="", guidance=[])
    assert "every RCC and most peripheral registers read 0, so bound each loop" in told
    assert "the core clock is fixed at" in told
    assert "leave SysTick alone" in told


def test_a_node_is_told_who_is_at_the_other_end_of_its_uart() -> None:
    other = spec(node_id="sensor", description="says T=21 each second")
    told = prompt.first(profiles.load("stm32f405"), spec(), task="", guidance=[], joined=[other])
    assert "- sensor (stm32f405): says T=21 each second" in told
    assert "joined" not in prompt.first(profiles.load("stm32f405"), spec(), task="", guidance=[])


def test_the_feedback_holds_what_failed_and_nothing_else() -> None:
    asked = [
        Assertion(name="boots", pattern="BOOT"),
        Assertion(name="quick", pattern="READY", within_s=1.0),
        Assertion(name="warm", kind="range", pattern=r"T=(\d+)", minimum=20, maximum=30),
        Assertion(name="steady", kind="count", pattern="^T=", min_count=3, required=False),
    ]
    printed = Printed("BOOT\nREADY\nT=17\n", ((5, 0.0), (11, 2.1), (16, 2.2)))
    ran = Simulation(outcome=Outcome.TIMEOUT, printed=printed, simulator_error="", exit_code=None, duration_s=5.0)
    told = prompt.not_asserted(ran, judge(printed, asked), asked, {"other": "I said\nPING"})
    assert told.split("\n")[1:] == [
        "- quick (the output contains 'READY', within 1 s after the first byte of output): shown after 2.1 s, 1 s was asked: READY",
        r"- warm (a line matches the regular expression `T=(\d+)`, and the first group is always a number of 20 to 30): 17 is below 20, in 'T=17'",
        "It printed:", "BOOT", "READY", "T=17",
        "other, at the other end of its UART, printed:", "I said", "PING",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Here:\n```c\nint a;\n```\nDone.", "int a;\n"),
        ("```C\nint a;\n```", "int a;\n"),
        ("```\nint a;\n```", "int a;\n"),
        ("```sh\nmake\n```\n```c\nint a;\n```", "int a;\n"),
        ("```c\nint a;\n```\nor better\n```c\nint a, b, c;\n```", "int a, b, c;\n"),
        ("```c\r\nint a;\r\n```\r\n", "int a;\n"),
        ("no block at all", None),
        ("```c\nint a; // cut off", None),
        ("```c\n\n```", None),
        ("```python\nprint()\n```", None),
    ],
)
def test_code_is_what_stands_in_the_c_block(answer: str, code: str | None) -> None:
    assert prompt.code_of(answer) == code


def test_the_prompt_names_profile_task_and_proof() -> None:
    node = spec(
        assertions=[Assertion(name="sum", pattern="SUM=42"), Assertion(name="quiet", pattern="FAULT", kind="absent")],
        expect="BOOT",
    )
    told = prompt.first(profiles.load("stm32f405"), node, task="Two boards.", guidance=["be brief"])
    assert told.startswith("Board profile: stm32f405\n")
    for text in (
        "board_init()",
        "blink",
        "Two boards.",
        "'SUM=42'",
        "never contains 'FAULT'",
        "'BOOT'",
        "be brief",
        "one fenced c block",
    ):
        assert text in told


def test_given_nodes_are_taken_as_they_are() -> None:
    node = spec(assertions=[Assertion(name="a", pattern="A")], sources={"main.c": ""})
    assert plan(request(nodes=[node], prompt="whatever")) == [node]


@pytest.mark.parametrize(
    ("node", "pattern"),
    [
        (spec(), "TEST PASS"),
        (spec(description="It's not a test: it says `READY` at the end"), "READY"),
        (spec(expect="BOOTED"), "BOOTED"),
        (spec(sources={"main.c": "int main(void) {}"}), r"\S"),
    ],
)
def test_a_node_without_assertions_gets_one(node: NodeSpec, pattern: str) -> None:
    (planned,) = plan(request(nodes=[node]))
    assert [one.pattern for one in planned.assertions] == [pattern]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"nodes": [spec(board="toaster")]}, "no board profile is called 'toaster'"),
        ({"nodes": [spec(board="esp32s3")]}, "no simulator runs firmware for esp32s3 honestly"),
        ({"nodes": [spec(board="arduino_uno", deploy=True)]}, "nothing here flashes arduino_uno boards"),
        ({"nodes": [spec(node_id="a b")]}, "node_id 'a b' cannot be used"),
        ({"nodes": [spec(), spec()]}, "two nodes have the same id: node-1"),
        ({"nodes": [spec(), spec(node_id="NODE-1")]}, "two nodes have the same id: NODE-1, node-1"),
        ({"nodes": [spec(description="")]}, "neither a description nor sources"),
        ({"nodes": [spec(assertions=[Assertion(name="a", pattern="(", kind="regex")])]}, "assertion 'a'"),
        ({"nodes": [spec(assertions=[Assertion(name="a", pattern="A", kind="maybe")])]}, "not 'maybe'"),
        ({"nodes": [spec(node_id=f"n{one}") for one in range(65)]}, "too many"),
        (
            {"nodes": [spec()], "links": [link("node-1", "b")]},
            "a link names 'b', and no node is called so; there are node-1",
        ),
        ({"nodes": [spec()], "links": [link("node-1", "node-1")]}, "a link joins node-1 with itself"),
        ({"nodes": NODES[:2], "links": [link("n0", "n1"), link("n1", "n0")]}, "two links join the same nodes"),
        ({"nodes": NODES, "links": [link("n0", f"n{one}") for one in range(1, 9)]}, "at most 8 are simulated together"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_reason(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CannotPlan) as refused:
        plan(request(**fields))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("node", "line", "shows"),
    [
        (spec(expect="READY"), "I am READY.", True),
        (spec(expect="READY", assertions=[Assertion(name="a", pattern="OTHER")]), "OTHER", False),
        (spec(assertions=[Assertion(name="b", pattern="no", required=False), Assertion(name="a", pattern="YES\r\n")]), "YES", True),
        (spec(assertions=[Assertion(name="a", pattern=r"^T=\d+$", kind="regex")]), "T=21", True),
        (spec(assertions=[Assertion(name="a", pattern=r"^T=\d+$", kind="regex")]), "T=x", False),
        (spec(assertions=[Assertion(name="a", patterns=["BOOT", "DONE"], kind="order")]), "DONE", True),
        (spec(assertions=[Assertion(name="a", pattern=r"T=(\d+)", kind="range", minimum=20, within_s=1)]), "T=21", True),
        (spec(assertions=[Assertion(name="a", pattern=r"T=(\d+)", kind="range", minimum=20)]), "T=19", False),
        (spec(assertions=[Assertion(name="a", pattern="T", kind="count", min_count=3)]), "anything", True),
        (spec(assertions=[Assertion(name="a", pattern="FAULT", kind="absent")]), "hello", True),
        (spec(assertions=[Assertion(name="a", pattern="FAULT", kind="absent")]), "  ", False),
    ],
)  # fmt: skip
def test_a_line_of_the_board_shows_what_is_wanted_or_does_not(node: NodeSpec, line: str, shows: bool) -> None:
    assert wanted(node, joined=False)[1](line) is shows


def test_a_board_that_is_not_joined_has_to_answer_to_nobody() -> None:
    answers = [Assertion(name="answered", pattern="GOT PONG")]
    assert wanted(spec(assertions=answers), joined=True)[1]("PING")
    assert not wanted(spec(assertions=answers, expect="PING"), joined=True)[1]("something else")
