"""Skills: folders with a ``SKILL.md``, as the Agent Skills form has them, that an agent is told of and can look into.

They lie in a directory of this runner's (``BENCHWIRE_SKILLS``). Its agent gets a copy in ``skills/`` of the session's directory, where its
tools reach it.
"""

import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from benchwire.agent.errors import GivenUp
from benchwire.agent.tools import files

FOLDER = "skills"
SHEET = "SKILL.md"
MAX_FILES = 500
MAX_BYTES = 16 << 20
MAX_SHEET_BYTES = 256 * 1024
MAX_FRONT_CHARS = 8 * 1024
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\r?$", re.DOTALL | re.MULTILINE)


class Skill(msgspec.Struct, frozen=True, kw_only=True):
    """One skill: the folder's name, and what its ``SKILL.md`` says of it on top."""

    folder: Path
    name: str
    description: str


class _Front(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    description: str


def found(names: Sequence[str], root: Path | None, *, agent_name: str) -> list[Skill]:
    """The skills of these names. Raises ``GivenUp`` when one is not there, or cannot be read."""
    return [_found(name, root, agent_name) for name in names]


def told(skills: Sequence[Skill]) -> str:
    """What the system prompt says of them."""
    if not skills:
        return ""
    listed = "\n".join(f"- {one.name} ({FOLDER}/{one.folder.name}/{SHEET}): {one.description}" for one in skills)
    return (
        f"You have skills: instructions, and files that go with them, in the folder {FOLDER}/ of your directory. When one fits what you "
        f"do, read its {SHEET} first and follow it.\n{listed}"
    )


def laid_out(skills: Sequence[Skill], workdir: Path) -> None:
    """Copies them into the session's directory. Raises ``GivenUp``."""
    for one in skills:
        try:
            for path, mode in _files(one):
                inside = f"{FOLDER}/{one.folder.name}/{path.relative_to(one.folder).as_posix()}"
                # Not shutil: what runs in the directory may have put a link where a folder was.
                files.put(workdir, inside, path.read_bytes(), executable=bool(mode & stat.S_IXUSR))
        except (OSError, files.FileRefused) as error:
            raise GivenUp(f"the skill {one.name!r} could not be copied: {error}", "agent") from error


def _found(name: str, root: Path | None, agent_name: str) -> Skill:
    needs = f"the agent {agent_name!r} needs the skill {name[:64]!r}"
    if root is None:
        raise GivenUp(
            f"{needs}, and this agent runner has no skills: set BENCHWIRE_SKILLS to the directory that holds it",
            "agent",
        )
    folder = root / name
    if not _NAME.fullmatch(name) or not (folder / SHEET).is_file():
        raise GivenUp(
            f"{needs}, which is no folder with a {SHEET} in the runner's BENCHWIRE_SKILLS; add it, or take it out of the agent",
            "agent",
        )
    try:
        with (folder / SHEET).open("rb") as sheet:
            front = _front(sheet.read(MAX_SHEET_BYTES).decode(errors="replace"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise GivenUp(f"{needs}, whose {SHEET} cannot be used: {error}", "agent") from error
    return Skill(folder=folder, name=front.name, description=front.description)


def _front(text: str) -> _Front:
    """What stands between the two lines of dashes. Raises ``ValueError`` and ``YAMLError``."""
    match = _FRONT.match(text.removeprefix("\ufeff"))
    if match is None:
        raise ValueError("it does not begin with a line ---, name, description, and a line ---")
    if len(match.group(1)) > MAX_FRONT_CHARS:  # nesting costs YAML the square of its depth
        raise ValueError(f"what stands between the lines of dashes has more than {MAX_FRONT_CHARS} characters")
    given: Any = yaml.safe_load(match.group(1))
    return msgspec.convert(given, _Front)


def _files(skill: Skill) -> Iterator[tuple[Path, int]]:
    """Its files and their modes, without links. Raises ``GivenUp`` when that is too much."""
    count = size = 0
    for path in sorted(skill.folder.rglob("*")):
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode):
            continue
        count, size = count + 1, size + info.st_size
        if count > MAX_FILES or size > MAX_BYTES:
            raise GivenUp(f"the skill {skill.name!r} has more than {MAX_FILES} files or {MAX_BYTES} bytes", "agent")
        yield path, info.st_mode
