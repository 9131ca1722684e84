"""Skills of an agent: told of in the system prompt, and laid into the session's directory."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from benchwire.agent.blueprint import Blueprint
from benchwire.agent.errors import GivenUp
from benchwire.agent.sessions.calls import Tool
from benchwire.agent.toolbox import skills

OpenTools = Callable[..., AbstractAsyncContextManager[dict[str, Tool]]]

SHEET = """---
name: soldering
description: >
  How to solder,
  and when not to.
license: Apache-2.0
---
# Soldering
Hot at one end.
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "skills" / "soldering"
    (folder / "scripts").mkdir(parents=True)
    (folder / "SKILL.md").write_text(SHEET)
    script = folder / "scripts" / "heat.sh"
    script.write_text("#!/bin/sh\necho hot\n")
    script.chmod(0o755)
    (folder / "outside").symlink_to("/etc")
    return folder.parent


async def test_an_agent_reads_its_skill_and_runs_what_comes_with_it(root: Path, tools: OpenTools) -> None:
    async with tools(blueprint=Blueprint(name="smith", skills=("soldering",)), skills=root) as tool:
        assert "Hot at one end." in await tool["read_file"].call({"path": "skills/soldering/SKILL.md"})
        assert await tool["bash"].call({"command": "skills/soldering/scripts/heat.sh; ls skills/soldering"}) == (
            "hot\nSKILL.md\nscripts\n[exit code 0]"
        )


def test_the_system_prompt_says_when_to_look_into_which(root: Path) -> None:
    told = skills.told(skills.found(["soldering"], root, agent_name="smith"))
    assert "- soldering (skills/soldering/SKILL.md): How to solder, and when not to." in told
    assert skills.told([]) == ""


@pytest.mark.parametrize("name", ["welding", "../skills/soldering", "", ".", "soldering/scripts"])
def test_a_skill_that_is_not_there_is_told_with_its_name_and_the_setting(root: Path, name: str) -> None:
    with pytest.raises(GivenUp, match=r"'smith' needs the skill .*BENCHWIRE_SKILLS"):
        skills.found([name], root, agent_name="smith")


def test_without_a_directory_the_setting_is_named() -> None:
    with pytest.raises(GivenUp, match="set BENCHWIRE_SKILLS"):
        skills.found(["soldering"], None, agent_name="smith")


@pytest.mark.parametrize("sheet", ["# Soldering", "---\nname: x\n---\n", "---\nname: [\n---\n", "---\n- a\n---\n"])
def test_a_sheet_that_says_too_little_is_told(root: Path, sheet: str) -> None:
    (root / "soldering" / "SKILL.md").write_text(sheet)
    with pytest.raises(GivenUp, match=r"whose SKILL\.md cannot be used"):
        skills.found(["soldering"], root, agent_name="smith")


def test_no_link_that_a_command_made_leads_a_copy_out(root: Path, tmp_path: Path) -> None:
    outside, workdir = tmp_path / "outside", tmp_path / "work"
    outside.mkdir()
    workdir.mkdir()
    (workdir / "skills").symlink_to(outside)
    with pytest.raises(GivenUp, match="could not be copied"):
        skills.laid_out(skills.found(["soldering"], root, agent_name="smith"), workdir)
    assert list(outside.iterdir()) == []
