from datetime import UTC, datetime

import pytest

from benchwire.agent.code.plan import CannotPlan, Module, Outline, given, needed_by, ordered, outlined
from benchwire.events.task import NodeSpec, TaskRequested


def module(name: str, *needs: str) -> NodeSpec:
    return NodeSpec(node_id=name, description="does something", depends_on=list(needs))


def requested(*nodes: NodeSpec, prompt: str = "") -> TaskRequested:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return TaskRequested(timestamp=now, task_id="t-1", kind="code", prompt=prompt, nodes=list(nodes))


def test_modules_come_after_those_that_they_need() -> None:
    names = [one.node_id for one in ordered([module("c.py", "b.py", "a.py"), module("b.py", "a.py"), module("a.py")])]
    assert names == ["a.py", "b.py", "c.py"]


def test_what_is_needed_is_needed_through_others_too() -> None:
    nodes = [module("a.py"), module("b.py", "a.py"), module("c.py", "b.py")]
    assert needed_by(nodes[2], nodes) == ["b.py", "a.py"]


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([], "no module"),
        ([module(f"m{number}.py") for number in range(17)], "at most 16"),
        ([module("validator")], "no file name"),
        ([module("../evil.py")], "no file name"),
        ([module("pkg/a.py")], "no file name"),
        ([module("class.py")], "no file name"),
        ([module("é.py")], "no file name"),
        ([module("__init__.py")], "no file name"),
        ([module("test_a.py")], "a name for tests"),
        ([module("a_test.py")], "a name for tests"),
        ([module("conftest.py")], "a name for tests"),
        ([module("tests.py")], "a name for tests"),
        ([module("json.py")], "would hide"),
        ([module("pytest.py")], "would hide"),
        ([module("typing_extensions.py")], "would hide"),
        ([module("a.py"), module("A.py")], "same name"),
        ([module("a.py", "b.py")], "none of the modules"),
        ([module("a.py", "a.py")], "depends on itself"),
        ([module("a.py", "b.py"), module("b.py", "a.py")], "in a circle"),
        ([NodeSpec(node_id="a.py", sources={"a.py": "A = 1\n"})], "a.py and test_a.py"),
    ],
)
def test_what_is_no_set_of_modules_is_refused_with_the_reason(nodes: list[NodeSpec], why: str) -> None:
    with pytest.raises(CannotPlan, match=why):
        ordered(nodes)


def test_a_module_that_a_person_names_without_a_description_is_described_by_the_prompt() -> None:
    assert given(requested(NodeSpec(node_id="a.py"), prompt="adds"))[0].description == "adds"
    with pytest.raises(CannotPlan, match="neither a description nor sources"):
        given(requested(NodeSpec(node_id="a.py")))


def test_an_outline_becomes_nodes_that_are_for_no_board() -> None:
    outline = Outline(
        summary="two",
        modules=[Module(name="b.py", description="b", depends_on=["a.py"]), Module(name="a.py", description="a")],
    )
    nodes = outlined(outline)
    assert [(one.node_id, one.board, one.deploy, one.depends_on) for one in nodes] == [
        ("a.py", "", False, []),
        ("b.py", "", False, ["a.py"]),
    ]
    with pytest.raises(CannotPlan, match="no description"):
        outlined(Outline(summary="", modules=[Module(name="a.py", description=" ")]))
