"""What a model or a skill sends to break its runner, and what a command leaves for it to fall over."""

import os
from pathlib import Path

import pytest

from benchwire.agent.errors import GivenUp
from benchwire.agent.model.structured import Unfit, read
from benchwire.agent.sessions.hearing import _problem
from benchwire.agent.toolbox import skills
from benchwire.agent.tools import files
from benchwire.agent.tools.files import FileRefused


@pytest.mark.parametrize(
    "sent",
    ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, '{"a":' + "9" * 5000 + "}", "{", "[]"],
)
def test_an_input_that_cannot_be_read_is_told_to_the_model(sent: str) -> None:
    problem = _problem(sent)
    assert problem is not None
    assert len(problem) < 1000


@pytest.mark.parametrize(
    "text",
    ["{" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, '{"a":' + "[" * 100_000, '{"a":' + "9" * 5000 + "}"],
)
def test_an_answer_that_nests_without_end_does_not_fit(text: str) -> None:
    with pytest.raises(Unfit):
        read(text, dict[str, dict[str, str]])


@pytest.mark.parametrize(
    "front",
    [
        "a: " + "[" * 20_000,
        "a: " + "[" * 2_000,
        "a: &a [x]\n"
        + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
        "!!python/object/apply:os.system ['touch /tmp/pwned']",
        "name: " + "9" * 5000,
    ],
)
def test_a_skill_whose_sheet_is_a_bomb_is_told(tmp_path: Path, front: str) -> None:
    folder = tmp_path / "bomb"
    folder.mkdir()
    (folder / "SKILL.md").write_text(f"---\n{front}\n---\nwords")
    with pytest.raises(GivenUp, match="cannot be used"):
        skills.found(["bomb"], tmp_path, agent_name="a")


@pytest.mark.parametrize("name", ["../outside", "/etc", "..", "a/../../outside", "a\x00b", "link"])
def test_a_skill_is_a_folder_of_the_operators_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "SKILL.md").write_text("---\nname: a\ndescription: b\n---\n")
    root = tmp_path / "skills"
    root.mkdir()
    with pytest.raises(GivenUp):
        skills.found([name], root, agent_name="a")


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A session's directory, and a secret beside it."""
    (tmp_path / "secret").write_text("hunter2")
    workdir = tmp_path / "work"
    workdir.mkdir()
    return workdir


def test_no_link_leads_a_tool_out(inside: Path) -> None:
    (inside / "file").symlink_to("../secret")
    (inside / "folder").symlink_to("..")
    (inside / "loop").symlink_to("loop")
    (inside / "absolute").symlink_to("/etc/passwd")
    (inside / "proc").symlink_to("/proc/self/root")
    os.mkfifo(inside / "pipe")
    for path in (
        "file",
        "folder/secret",
        "loop",
        "absolute",
        "proc/etc/passwd",
        "pipe",
        "../secret",
        "/etc/passwd",
        "/dev/zero",
        "a\x00",
    ):
        with pytest.raises(FileRefused):
            files.read(inside, path)
        with pytest.raises(FileRefused):
            files.whole(inside, path, max_bytes=1 << 20)
        with pytest.raises((FileRefused, OSError)):
            files.write(inside, path, "x")
    assert (inside.parent / "secret").read_text() == "hunter2"
    assert [name for name, _ in files.listed(inside, most=10)] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_a_second_name_of_somebody_elses_file_is_not_read(inside: Path) -> None:
    os.link(inside.parent / "secret", inside / "mine")
    os.chown(inside, 61000, 61000)
    with pytest.raises(FileRefused, match="several names"):
        files.read(inside, "mine")
    with pytest.raises(FileRefused, match="several names"):
        files.write(inside, "mine", "x")
    assert (inside.parent / "secret").read_text() == "hunter2"
