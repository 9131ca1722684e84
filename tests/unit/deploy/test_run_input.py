"""What a person may hand in, and what is said otherwise."""

from pathlib import Path
from typing import Any

import pytest

from benchwire.boards.profile import UnknownProfile
from benchwire.deploy import sources
from benchwire.deploy.run import task_of
from benchwire.deploy.sources import BadSources
from benchwire.deploy.task.telling import line, reason

MAIN = "int main(void) { for (;;) {} }\n"


def test_a_folder_gives_its_sources_by_their_path_below_it(tmp_path: Path) -> None:
    (tmp_path / "drivers").mkdir()
    (tmp_path / "main.c").write_text(MAIN)
    (tmp_path / "drivers" / "led.h").write_text("#pragma once\n")
    (tmp_path / "notes.txt").write_text("not built")
    assert sources.read(tmp_path) == {"main.c": MAIN, "drivers/led.h": "#pragma once\n"}


def test_one_file_is_handed_in_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "blink.c").write_text(MAIN)
    assert sources.read(tmp_path / "blink.c") == {"blink.c": MAIN}


def test_hidden_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "old.c").write_text(MAIN)
    (tmp_path / "main.c").write_text(MAIN)
    assert list(sources.read(tmp_path)) == ["main.c"]


def test_a_folder_inside_a_hidden_one_is_read_when_it_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "fw"
    folder.mkdir(parents=True)
    (folder / "main.c").write_text(MAIN)
    assert list(sources.read(folder)) == ["main.c"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (None, b"", "is not there"),
        ("main.py", b"x", "is no source file"),
        ("main.c", b"\x7fELF\xff\xfe", "is no text"),
        ("main.c", b"a\0b", "zero bytes"),
        ("main.c", b"x" * (sources.MAX_FILE_BYTES + 1), "too big"),
        ("board.h", b"", "nothing to compile"),
    ],
)
def test_a_file_that_cannot_be_built_is_refused_with_the_reason(
    tmp_path: Path, name: str | None, content: bytes, told: str
) -> None:
    path = tmp_path / (name or "gone.c")
    if name is not None:
        path.write_bytes(content)
    with pytest.raises(BadSources, match=told) as refused:
        sources.read(path)
    assert str(path) in str(refused.value)


def test_an_empty_folder_has_nothing_to_compile(tmp_path: Path) -> None:
    with pytest.raises(BadSources, match="nothing to compile"):
        sources.read(tmp_path)


def test_more_files_than_are_built_are_refused(tmp_path: Path) -> None:
    for number in range(sources.MAX_FILES + 1):
        (tmp_path / f"f{number}.c").write_text("")
    with pytest.raises(BadSources, match="33 source files"):
        sources.read(tmp_path)


def test_files_that_are_too_big_together_are_refused(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"f{number}.c").write_text("/" * sources.MAX_FILE_BYTES)
    with pytest.raises(BadSources, match="at most 1048576"):
        sources.read(tmp_path)


def _node(**given: Any) -> dict[str, Any]:
    told = {"expect": None, "patterns": [], "deploy": True, **given}
    body = task_of({"main.c": MAIN}, "stm32f405", **told)
    assert body["kind"] == "firmware"
    node: dict[str, Any] = body["nodes"][0]
    return node


def test_sources_become_a_task_of_one_node() -> None:
    node = _node()
    assert (node["sources"], node["board"], node["deploy"], node["assertions"]) == (
        {"main.c": MAIN},
        "stm32f405",
        True,
        [],
    )


def test_an_alias_names_its_profile() -> None:
    assert task_of({"main.c": MAIN}, "nrf51", expect=None, patterns=[], deploy=False)["nodes"][0]["board"] == "nrf51822"


def test_what_the_board_has_to_print_is_asked_of_the_simulation_too() -> None:
    node = _node(expect="TEST PASS")
    assert node["expect"] == "TEST PASS"
    assert [(one["kind"], one["pattern"]) for one in node["assertions"]] == [("substring", "TEST PASS")]


def test_a_pattern_in_slashes_is_a_regex_and_others_are_texts() -> None:
    node = _node(patterns=["/^t=[0-9]$/", "a/b", "/"])
    assert [(one["kind"], one["pattern"]) for one in node["assertions"]] == [
        ("regex", "^t=[0-9]$"),
        ("substring", "a/b"),
        ("substring", "/"),
    ]


@pytest.mark.parametrize("given", [{"patterns": [""]}, {"patterns": ["//"]}, {"expect": ""}])
def test_an_empty_text_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="in every output"):
        _node(**given)


def test_expecting_a_line_of_a_board_that_is_not_flashed_is_refused() -> None:
    with pytest.raises(ValueError, match="--no-deploy"):
        _node(expect="x", deploy=False)


def test_an_unknown_board_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownProfile, match="stm32f405"):
        task_of({"main.c": MAIN}, "toaster", expect=None, patterns=[], deploy=True)


def test_a_completed_task_needs_no_reason() -> None:
    assert reason({"status": "completed", "modules": []}) == ""


def test_a_build_that_failed_is_explained_by_the_compiler() -> None:
    iteration = {"compiled": False, "diagnostics": "main.c:1:1: error: no\n"}
    told = reason({"status": "failed", "error": "node-1: no", "modules": [{"iterations": [iteration]}]})
    assert told == "the task failed: node-1: no\n  main.c:1:1: error: no"


def test_what_the_compiler_says_is_told_once() -> None:
    iteration = {"compiled": False, "diagnostics": "main.c:1:1: error: no"}
    error = "node-1: It does not compile. The compiler says:\nmain.c:1:1: error: no"
    told = reason({"status": "failed", "error": error, "modules": [{"iterations": [iteration]}]})
    assert told.splitlines() == [
        "the task failed: node-1: It does not compile. The compiler says:",
        "  main.c:1:1: error: no",
    ]


def test_a_simulation_that_missed_something_is_explained_by_what_it_printed() -> None:
    missed = {"name": "prints PASS", "passed": False, "required": True, "detail": "not seen"}
    simulation = {"ok": False, "assertions": [missed], "output": "BOOT\r\nFAIL\x1b[2J\r\n"}
    told = reason({"status": "failed", "error": None, "modules": [{"iterations": [{"simulation": simulation}]}]})
    assert "not shown by the simulation: prints PASS (not seen)" in told
    assert "  | FAIL\\x1b[2J" in told


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ({"type": "MODULE_COMPILED", "data": {"ok": True, "flash_bytes": 10, "ram_bytes": 2048}}, "built: flash 10 B, RAM 2 KiB"),
        ({"type": "MODULE_COMPILED", "data": {"ok": False}}, "does not build"),
        ({"type": "MODULE_ITERATION", "data": {"outcome": "passed", "test_pass_rate": 1.0}}, "simulated: passed, 100% of the assertions hold"),
        ({"type": "MODULE_DEPLOYED", "data": {"device": "d", "line": "PASS"}}, "d printed: PASS"),
        ({"type": "SOMETHING_NEW", "data": {"x": 1}}, ""),
        ({"type": "TASK_STARTED"}, ""),
    ],
)  # fmt: skip
def test_frames_are_told_in_a_few_words(frame: dict[str, Any], told: str) -> None:
    assert line(frame) == told
