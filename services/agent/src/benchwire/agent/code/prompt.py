"""What the model is told: which modules to plan, which one to write, and after each try exactly what failed. And what its answer holds."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from benchwire.agent.code import score
from benchwire.agent.code.plan import MAX_MODULES, tests_of
from benchwire.events.task import NodeSpec

PLAN = (
    "You plan Python programs that are made of a few small modules, so that others can write each module from its description alone. "
    "You plan as few as make sense, often one; no module for tests, for each module gets its own tests."
)
WRITE = (
    f"You write one Python {sys.version_info.major}.{sys.version_info.minor} module, and its tests for pytest. Both are run, and what is "
    "measured decides; nobody reads them before."
)
MAX_SHOWN_CHARS = 8000
MAX_NEEDED_CHARS = 60_000

_OPENING = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")
_TESTS = re.compile(r"^[ \t]*(?:async[ \t]+)?def test_", re.MULTILINE)
_PYTHON = ("", "python", "py", "python3")


def plan(task: str) -> str:
    """The message that asks for the modules of a program."""
    return (
        f"Plan the modules of this program:\n{task.strip()}\n\n"
        f"At most {MAX_MODULES} modules, each a file such as validator.py beside the others, in one directory: no packages, and no name that the "
        "standard library has. Only that library may be used beside them. A module is described so that whoever writes it, and whoever uses it, "
        "needs nothing else: its functions and classes, with their arguments, what they return, and which errors they raise. Dependencies must "
        "not go in a circle."
    )


def first(node: NodeSpec, *, task: str, needed: Mapping[str, str], target: float, timeout_s: float) -> str:
    """The message that asks for a module; ``needed`` are the sources of those that it depends on."""
    about = node.description.strip()
    whole = f"\nIt is part of this program:\n{task.strip()}\n" if task.strip() and task.strip() not in about else ""
    chars = MAX_NEEDED_CHARS // max(1, len(needed))
    beside = "\n".join(
        f"\n{name}, which it may import, is there already:\n{_fenced(name, shown(text, chars))}"
        for name, text in needed.items()
    )
    weights = ", ".join(f"{name} {weight:g}" for name, weight in score.WEIGHTS.items())
    return (
        f"Write {node.node_id}:\n{about}\n{whole}{beside}\n"
        f"It is tested in a directory with its tests{' and these modules' if needed else ''}, without network, for at most {timeout_s:g} s. "
        "There is the standard library, and pytest without plugins; files belong into pytest's tmp_path. Everything is annotated with types "
        "(mypy --strict). It is good enough when all tests pass and its quality score, the weighted sum of "
        f"the part of the tests that pass, the part of its lines that they run, and what ruff and mypy do not find ({weights}), is at least "
        f"{target:.2f}. The tests have to prove what the module does: they may not pass without it.\n\n{_form(node.node_id)}"
    )


def again(feedback: str, module: str) -> str:
    """The message after a try that was not good enough."""
    return f"{shown(feedback)}\n\nCorrect that. {_form(module)} A file of yours that stays as it is may be left out."


def guided(guidance: Sequence[str]) -> str:
    """What people said, to be put before what is asked for."""
    return "".join(f"Guidance from a person who watches: {one}\n" for one in guidance)


def answer(sources: Mapping[str, str]) -> str:
    """An answer with these files, as the model would have given it."""
    return "\n\n".join(_fenced(name, text) for name, text in sources.items())


def no_files(stop_reason: str | None, missing: Sequence[str]) -> str:
    """The feedback to an answer that lacks a file."""
    if stop_reason == "max_tokens":
        return "Your answer was cut off before its last code block was closed. Make the module, or its tests, shorter."
    return f"Your answer has no code block for {' and '.join(missing)}."


def files_of(text: str, module: str) -> dict[str, str]:
    """The module and its tests, as far as an answer has them.

    A fenced block belongs to the file that is named behind its fence, in the line before it, or in the comment that it begins with. Where none is
    named it is the tests' if it has any, and else the module's. Of several for one file a named one counts, and then the longest.
    """
    found: dict[str, tuple[bool, str]] = {}
    for block in _blocks(text.replace("\r\n", "\n")):
        named = block.names((module, tests_of(module)))
        if named is None and block.language not in _PYTHON:
            continue
        name = named or (tests_of(module) if _TESTS.search(block.code) else module)
        rank = (named is not None, len(block.code))
        if block.code.strip() and (name not in found or rank > (found[name][0], len(found[name][1]))):
            found[name] = (named is not None, block.code)
    return {name: code for name, (_, code) in found.items()}


def shown(text: str, chars: int = MAX_SHOWN_CHARS) -> str:
    """As much of a long text as a model needs to see."""
    text = text.strip()
    if len(text) <= chars:
        return text
    half = chars // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


class _Block(msgspec.Struct, frozen=True):
    before: str
    info: str
    code: str

    @property
    def language(self) -> str:
        return self.info.split(" ", 1)[0].lower()

    def names(self, files: Sequence[str]) -> str | None:
        """Which of ``files`` it says that it is."""
        head = self.code.lstrip().split("\n", 1)[0]
        for place in (self.info, self.before, head if head.startswith("#") else ""):
            named = [one for one in files if re.search(rf"(?<!\w){re.escape(one)}\b", place)]
            if len(named) == 1:
                return named[0]
        return None


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks that are closed; a fence is closed by one that is as long, and not indented deeper."""
    lines = text.split("\n")
    number, before = 0, ""
    while number < len(lines):
        opening = _OPENING.fullmatch(lines[number])
        if opening is None:
            before = lines[number] if lines[number].strip() else before
            number += 1
            continue
        end = _closing(lines, number, opening["fence"], len(opening["indent"]))
        if end is None:
            return
        code = "\n".join(one.removeprefix(opening["indent"]) for one in lines[number + 1 : end])
        yield _Block(before, opening["info"].strip(), f"{code}\n")
        number, before = end + 1, ""


def _closing(lines: Sequence[str], opened: int, fence: str, indent: int) -> int | None:
    for number in range(opened + 1, len(lines)):
        text = lines[number].rstrip()
        marks = text.lstrip()
        is_fence = len(marks) >= len(fence) and not marks.strip(fence[0])
        if is_fence and len(text) - len(marks) <= indent:
            return number
    return None


def _form(module: str) -> str:
    return f"Answer with both files whole, each in a fenced block that names it: ```python {module} and ```python {tests_of(module)}."


def _fenced(name: str, text: str) -> str:
    longest = max((len(one) for one in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}python {name}\n{text.rstrip()}\n{fence}"
