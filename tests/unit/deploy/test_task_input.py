"""What a person may want of a task, and what is said otherwise."""

import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchwire.deploy.calling import above_zero
from benchwire.deploy.task.app import app
from benchwire.deploy.task.asked import BadNode, code_task, firmware_task, links_of, node_of
from benchwire.deploy.task.telling import line, reason, table_of

NODE = """
node_id = "hub"
board = "stm32f405"
description = "Print HELLO."
labels = { rack = "2" }

[[assertions]]
name = "counts"
kind = "count"
pattern = "tick"
min_count = 3
"""


def test_a_file_describes_a_node_and_may_name_its_sources(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text('source = "hub.c"\n' + NODE)
    (tmp_path / "hub.c").write_text("int main(void) { for (;;) {} }\n")
    node = node_of(tmp_path / "hub.toml", deploy=False)
    assert (node["node_id"], node["deploy"], node["labels"], list(node["sources"])) == (
        "hub",
        False,
        {"rack": "2"},
        ["hub.c"],
    )
    assert node["assertions"][0]["min_count"] == 3
    (tmp_path / "hub.toml").write_text("deploy = true\n" + NODE)
    assert node_of(tmp_path / "hub.toml", deploy=False)["deploy"] is True


@pytest.mark.parametrize(
    ("text", "said"), [(None, "No such file"), ("node_id = 3", "node_id"), ('name = "x"', "node_id|name"), ("=", "1")]
)
def test_a_file_that_describes_no_node_is_named_with_what_is_wrong(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "bad.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(BadNode, match=said) as refused:
        node_of(file, deploy=True)
    assert str(file) in str(refused.value)


def test_a_link_takes_two_nodes() -> None:
    assert links_of(["a:b"]) == [{"a": "a", "b": "b"}]
    with pytest.raises(ValueError, match="two nodes"):
        links_of(["a"])


def test_a_task_says_no_more_than_was_given() -> None:
    assert code_task("x", answers=[], quality=None, iterations=None) == {"kind": "code", "prompt": "x", "answers": []}
    with pytest.raises(ValueError, match="--node"):
        firmware_task("", board="b", nodes=[], links=[], answers=[], deploy=False, iterations=None, simulate_s=None)


def test_a_line_says_which_module_when_there_are_several() -> None:
    counts = {"tests_passed": 1, "tests_failed": 2, "measures": {}, "quality_score": 0.5}
    frame = {"type": "MODULE_ITERATION", "data": {"module": "a.py", "outcome": "failed", **counts}}
    assert line(frame, named=True) == "a.py: tested: failed, 1 of 3 tests pass, quality 0.50"
    assert line({"type": "TASK_COMPLETE", "data": {"duration_s": 2}}, named=True) == "finished in 2.0 s"


def test_tests_that_failed_are_explained_by_their_report() -> None:
    iteration = {"tests": {"ok": False, "report": "E  assert 1 == 2"}}
    told = reason({"status": "failed", "error": "a.py: no", "modules": [{"iterations": [iteration]}]})
    assert told == "the task failed: a.py: no\n  | E  assert 1 == 2"


def test_the_table_has_a_row_for_each_module() -> None:
    tests = {"quality_score": 0.9, "measures": {"tests": 1.0}}
    modules = [
        {"name": "a.py", "state": "success", "iterations": [{"tests": tests}]},
        {"name": "b.py", "state": "skipped"},
    ]
    assert table_of({"modules": modules}).row_count == 2


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_time_and_no_money_is_refused_by_the_name_of_its_option(value: float) -> None:
    assert above_zero(None, "--timeout") is None
    assert above_zero(0.5, "--timeout") == 0.5
    with pytest.raises(ValueError, match=r"--timeout is .*; it takes a number above 0"):
        above_zero(value, "--timeout")


def test_a_folder_that_cannot_be_made_ends_the_command_before_a_lab_is_asked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(
        app, ["run", "x", "--out", str(tmp_path / "file" / "made"), "--url", "http://127.0.0.1:9"]
    )
    assert done.exit_code == 1
    assert "Not a directory" in done.stderr
