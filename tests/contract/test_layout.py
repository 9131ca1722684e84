"""The shape of the tree: what a namespace of several distributions breaks on, and what each of them may import."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from benchwire.events import child

ROOT = Path(__file__).parents[2]
MEMBERS = [*sorted(file.parent for file in ROOT.glob("*/*/pyproject.toml")), ROOT / "deploy"]

each_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)


def test_no_member_makes_the_namespace_its_own() -> None:
    assert MEMBERS
    assert list(ROOT.glob("**/src/benchwire/__init__.py")) == []


@each_member
def test_a_member_declares_what_it_imports(member: Path) -> None:
    """In one shared environment an undeclared dependency imports fine, and is missing on the host that has only this member."""
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    needs = [
        *project["dependencies"],
        *(one for extra in project.get("optional-dependencies", {}).values() for one in extra),
    ]
    declared = {_normal(re.split(r"[\[<>=!~; ]", need, maxsplit=1)[0]) for need in needs} | {_normal(project["name"])}
    installed = packages_distributions()
    undeclared = {
        name: sorted(str(file.relative_to(member)) for file in files)
        for name, files in _imports(member).items()
        if not {_normal(one) for one in installed.get(name, [name])} & declared
    }
    assert undeclared == {}


@each_member
def test_imports_of_the_workspace_are_declared_too(member: Path) -> None:
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    declared = {_normal(re.split(r"[\[<>=!~; ]", need, maxsplit=1)[0]) for need in project["dependencies"]}
    own = next((member / "src" / "benchwire").iterdir()).name
    used = {part for file in member.glob("src/**/*.py") for part in _parts(file)} - {own}
    assert {f"benchwire-{part.replace('_', '-')}" for part in used} <= declared


def test_no_registry_stands_in_a_committed_file() -> None:
    tracked = subprocess.run(
        child.dying_with_owner(["git", "ls-files"]), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "uv.lock" not in tracked
    host = re.compile(r"(pypi|pythonhosted|npmjs|registry\.)\S*\.(org|com|io)\b", re.IGNORECASE)
    named = [
        name for name in tracked if (ROOT / name).is_file() and host.search((ROOT / name).read_text(errors="replace"))
    ]
    assert named == []


def _imports(member: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in member.glob("src/**/*.py"):
        for name in _modules(file):
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top != "benchwire":
                found.setdefault(top, []).append(file)
    return found


def _parts(file: Path) -> set[str]:
    return {name.split(".")[1] for name in _modules(file) if name.startswith("benchwire.")}


def _modules(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= (
                {f"benchwire.{alias.name}" for alias in node.names} if node.module == "benchwire" else {node.module}
            )
    return names


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", "-")


@each_member
def test_every_folder_with_code_is_a_package(member: Path) -> None:
    """The import contracts do not see modules in a folder without ``__init__.py``."""
    root = next((member / "src" / "benchwire").iterdir())
    folders = {file.parent for file in root.glob("**/*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
