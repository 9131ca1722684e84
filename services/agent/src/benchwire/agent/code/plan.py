"""Which modules a code task has, and in what order they are made. Pure: a request, or a model's outline, in; nodes out."""

import graphlib
import keyword
import re
import sys
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from benchwire.events.task import NodeSpec, TaskRequested

MAX_MODULES = 16
MAX_NAME_CHARS = 64
# What is imported while the tests run. A module of such a name would be found in its place, as one of the standard library's would. The last
# two are mypy's own, which looks at no other module of that name.
TAKEN = frozenset(
    {"pytest", "coverage", "pluggy", "iniconfig", "packaging", "pygments", "py", "exceptiongroup", "typing_extensions", "mypy_extensions"}
)  # fmt: skip
FOR_TESTS = frozenset({"conftest", "test", "tests"})

_FILE = re.compile(r"[A-Za-z][A-Za-z0-9_]*\.py", re.ASCII)


class CannotPlan(ValueError):
    """The request, or an outline, cannot become modules; the sentence says what is missing or wrong."""


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One module: a file name such as ``validator.py``, what is in it (its functions with their arguments and what they return), and the file
    names of the other modules that it imports.
    """

    name: str
    description: str
    depends_on: list[str] = []


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """The modules of a program, and in one or two sentences how they work together."""

    summary: str
    modules: list[Module]


def given(request: TaskRequested) -> list[NodeSpec]:
    """The modules that the request names, in the order in which they can be made. Raises ``CannotPlan``."""
    nodes = []
    for one in request.nodes:
        if one.sources is None and not one.description.strip() and not request.prompt.strip():
            raise CannotPlan(f"{one.node_id} has neither a description nor sources")
        described = one.description if one.description.strip() or one.sources is not None else request.prompt
        nodes.append(replace(one, board="", deploy=False, description=described))
    return ordered(nodes)


def outlined(outline: Outline) -> list[NodeSpec]:
    """The modules of an outline, in the order in which they can be made. Raises ``CannotPlan``."""
    nodes = [
        NodeSpec(node_id=one.name, description=one.description, depends_on=list(one.depends_on), deploy=False)
        for one in outline.modules
    ]
    silent = [one.node_id for one in nodes if not one.description.strip()]
    if silent:
        raise CannotPlan(f"{', '.join(silent)}: there is no description")
    return ordered(nodes)


def ordered(nodes: Sequence[NodeSpec]) -> list[NodeSpec]:
    """``nodes``, each after those that it depends on. Raises ``CannotPlan`` when they are no set of modules."""
    if not nodes:
        raise CannotPlan("there is no module")
    if len(nodes) > MAX_MODULES:
        raise CannotPlan(f"{len(nodes)} modules are too many for one task; at most {MAX_MODULES} are made")
    for one in nodes:
        _check_name(one.node_id)
        _check_sources(one)
    names = [one.node_id.lower() for one in nodes]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise CannotPlan(f"two modules have the same name: {', '.join(twice)}")
    by_name = {one.node_id: replace(one, depends_on=list(dict.fromkeys(one.depends_on))) for one in nodes}
    for one in by_name.values():
        _check_needs(one, by_name)
    try:
        order = graphlib.TopologicalSorter({name: one.depends_on for name, one in by_name.items()}).static_order()
        return [by_name[name] for name in order]
    except graphlib.CycleError as error:
        raise CannotPlan(f"modules depend on each other in a circle: {' -> '.join(error.args[1])}") from error


def needed_by(node: NodeSpec, nodes: Iterable[NodeSpec]) -> list[str]:
    """The modules that ``node`` depends on, and those that these depend on."""
    by_name = {one.node_id: one for one in nodes}
    found: dict[str, None] = {}
    ahead = list(node.depends_on)
    while ahead:
        name = ahead.pop(0)
        if name not in found:
            found[name] = None
            ahead += by_name[name].depends_on
    return list(found)


def tests_of(module: str) -> str:
    """The file with the tests of a module."""
    return f"test_{module}"


def _check_name(name: str) -> None:
    plain = name.removesuffix(".py")
    if _FILE.fullmatch(name) is None or keyword.iskeyword(plain) or len(name) > MAX_NAME_CHARS:
        raise CannotPlan(f"{name[:80]!r} is no file name for a Python module; one is validator.py")
    if plain.lower() in FOR_TESTS or plain.lower().startswith("test_") or plain.lower().endswith("_test"):
        raise CannotPlan(f"{name} is a name for tests: each module gets its own, in test_<module>.py")
    if plain in sys.stdlib_module_names or plain in TAKEN:
        raise CannotPlan(f"{name} would hide the module {plain!r} that Python, or pytest, has; choose another name")


def _check_sources(node: NodeSpec) -> None:
    wanted = {node.node_id, tests_of(node.node_id)}
    if node.sources is not None and node.sources.keys() != wanted:
        raise CannotPlan(f"the sources of {node.node_id} have to be {' and '.join(sorted(wanted))}, and no others")


def _check_needs(node: NodeSpec, modules: Iterable[str]) -> None:
    unknown = [one for one in node.depends_on if one not in modules]
    if unknown:
        raise CannotPlan(
            f"{node.node_id} depends on {', '.join(unknown)}, which is none of the modules; those of the standard library are not named"
        )
    if node.node_id in node.depends_on:
        raise CannotPlan(f"{node.node_id} depends on itself")
