"""What is planned, what the model is told, and what its answer holds."""

from datetime import UTC, datetime
from typing import Any

import pytest

from benchwire.agent.firmware import prompt
from benchwire.agent.firmware.deploy import wanted
from benchwire.agent.firmware.plan import CannotPlan, plan
from benchwire.boards import profile as profiles
from benchwire.events.task import Assertion, NodeSpec, TaskRequested

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)


def request(**fields: Any) -> TaskRequested:
    return TaskRequested(timestamp=NOW, task_id="t", kind="firmware", **fields)


def spec(**fields: Any) -> NodeSpec:
    return NodeSpec(**{"node_id": "node-1", "board": "stm32f405", "description": "blink", **fields})


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


def test_a_prompt_for_a_board_is_one_node() -> None:
    (node,) = plan(request(prompt='Print "HELLO 7" once a second.', board="esp32c3", answers=["on UART0"]))
    assert (node.node_id, node.board, node.description) == (
        "node-1",
        "esp32c3",
        'Print "HELLO 7" once a second.\non UART0',
    )
    assert [one.pattern for one in node.assertions] == ["HELLO 7"]


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
        ({"prompt": "blink"}, "names no board; choose one of"),
        ({"board": "stm32f405"}, "neither a prompt nor nodes"),
        ({"prompt": "blink", "board": "toaster"}, "no board profile is called 'toaster'"),
        ({"prompt": "blink", "board": "esp32s3"}, "no simulator runs firmware for esp32s3 honestly"),
        ({"nodes": [spec(), spec()]}, "two nodes have the same id: node-1"),
        ({"nodes": [spec(description="")]}, "neither a description nor sources"),
        ({"nodes": [spec(assertions=[Assertion(name="a", pattern="(a+)+", kind="regex")])]}, "assertion 'a'"),
        ({"nodes": [spec(assertions=[Assertion(name="a", pattern="A", kind="maybe")])]}, "not 'maybe'"),
        ({"nodes": [spec(node_id=f"n{one}") for one in range(33)]}, "too many"),
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
        (spec(assertions=[Assertion(name="a", pattern="FAULT", kind="absent")]), "hello", True),
        (spec(assertions=[Assertion(name="a", pattern="FAULT", kind="absent")]), "  ", False),
    ],
)  # fmt: skip
def test_a_line_of_the_board_shows_what_is_wanted_or_does_not(node: NodeSpec, line: str, shows: bool) -> None:
    assert wanted(node)[1](line) is shows
