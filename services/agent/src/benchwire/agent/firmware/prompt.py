"""What the model is told: the task of a node, and after each try exactly what failed. And what its answer holds."""

import re
from collections.abc import Mapping, Sequence

from benchwire.agent.tools.assertions import Kind
from benchwire.agent.tools.compiler import Build
from benchwire.agent.tools.simulator import Simulation
from benchwire.boards.profile import Profile
from benchwire.events.task import Assertion, AssertionResult, NodeSpec

SYSTEM = (
    "You write firmware for microcontroller boards: plain C11, bare metal, one file. What you write is compiled, run in a simulator, "
    "judged by what it prints on its serial port, and then flashed on the real board."
)
FILE = "main.c"
MAX_SHOWN_CHARS = 6000
MAX_HEARD_CHARS = 2000

_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*(?P<language>[\w+-]*)[^\n]*\n(?P<code>.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE
)


def first(
    profile: Profile,
    node: NodeSpec,
    *,
    task: str,
    guidance: list[str],
    joined: Sequence[NodeSpec] = (),
    header: str = "",
) -> str:
    """The message that asks for a node's firmware.

    ``task`` is the prompt of the whole task, for what the node leaves unsaid; ``joined`` are the nodes at the other ends of its UART, ``header`` is
    the text of the board's header.
    """
    about = node.description.strip()
    whole = f"\nIt is part of this task:\n{task.strip()}\n" if task.strip() and task.strip() not in about else ""
    return (
        f"Board profile: {profile.name}\n\n{profile.notes_for_model.strip()}\n\n{_offered(header)}"
        f"Write this firmware:\n{about}\n{whole}{_joined(joined)}\n"
        f"What it prints is judged:\n{_listed(node.assertions)}\n{_expected(node)}{_guided(guidance)}\n"
        "Answer with the whole file in one fenced c block (```c ... ```), and nothing that has to be added to it."
    )


def again(feedback: str, guidance: list[str]) -> str:
    """The message after a try that failed."""
    return f"{feedback}\n{_guided(guidance)}\nAnswer with the whole corrected file in one fenced c block."


def code_of(answer: str) -> str | None:
    """The C code in an answer: its only fenced c block, or the longest of several; a block without a language counts if there is no other."""
    blocks = [(one["language"].lower(), one["code"]) for one in _BLOCK.finditer(answer.replace("\r\n", "\n"))]
    for languages in (("c", "h", "cpp", "c++"), ("",)):
        found = [code for language, code in blocks if language in languages and code.strip()]
        if found:
            return max(found, key=len)
    return None


def no_code(stop_reason: str | None) -> str:
    """The feedback to an answer without code."""
    if stop_reason == "max_tokens":
        return "Your answer was cut off before the code block was closed. Make the file shorter."
    return "Your answer has no fenced c block, so there is nothing to compile."


def not_compiled(build: Build) -> str:
    """The feedback to a build that failed."""
    return f"It does not compile. The compiler says:\n{_shown(build.diagnostics)}"


def over_budget(build: Build) -> str:
    """The feedback to an image that is too large."""
    return f"It does not fit the board: {build.over_budget}\n{_shown(build.diagnostics)}".rstrip()


def not_simulated(simulation: Simulation, timeout_s: float, others: Mapping[str, str]) -> str:
    """The feedback to a simulation whose output proves nothing; ``others`` are the outputs of the nodes that ran with it."""
    why = simulation.failure or ""
    late = f" within {timeout_s:g} s" if simulation.outcome == "timeout" else ""
    return f"It was built, but in the simulator {why}{late}.\n{_printed(simulation.output)}{_heard(others)}"


def not_asserted(
    simulation: Simulation, results: list[AssertionResult], assertions: list[Assertion], others: Mapping[str, str]
) -> str:
    """The feedback to an output that does not show what it has to: only what is required and failed."""
    failed = [
        f"- {one.name} ({described(asked)}): {'must not appear, but did: ' if asked.kind == Kind.ABSENT else ''}{one.detail}"
        for one, asked in zip(results, assertions, strict=True)
        if one.required and not one.passed
    ]
    return (
        "It was built and ran, but its output is not what is asserted:\n"
        + _shown("\n".join(failed))
        + f"\n{_printed(simulation.output)}{_heard(others)}"
    )


def described(asked: Assertion) -> str:
    """An assertion in words."""
    return f"{_meaning(asked)}{_in_time(asked)}{'' if asked.required else ' (not required)'}"


def _meaning(asked: Assertion) -> str:
    match Kind(asked.kind):
        case Kind.SUBSTRING:
            return f"the output contains {asked.pattern!r}"
        case Kind.REGEX:
            return f"a line matches the regular expression `{asked.pattern}`"
        case Kind.ABSENT:
            return f"the output never contains {asked.pattern!r}"
        case Kind.ORDER:
            return f"the output contains, one after the other, {', '.join(map(repr, asked.patterns))}"
        case Kind.COUNT:
            return (
                f"the regular expression `{asked.pattern}` matches {_between(asked.min_count, asked.max_count)} times"
            )
        case Kind.RANGE:
            group = f"group {asked.group!r}" if asked.group else "the first group"
            numbers = _between(asked.minimum, asked.maximum)
            return (
                f"a line matches the regular expression `{asked.pattern}`, and {group} is always a number of {numbers}"
            )


def _between(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f"{least:g}" if least == most else f"{least:g} to {most:g}"
    return f"at least {least:g}" if most is None else f"at most {most:g}"


def _in_time(asked: Assertion) -> str:
    return "" if asked.within_s is None else f", within {asked.within_s:g} s after the first byte of output"


def _listed(assertions: list[Assertion]) -> str:
    return "\n".join(f"- {one.name}: {described(one)}" for one in assertions)


def _offered(header: str) -> str:
    return f"This is board.h:\n```c\n{header.strip()}\n```\n\n" if header else ""


def _joined(others: Sequence[NodeSpec]) -> str:
    if not others:
        return ""
    told = "\n".join(f"- {one.node_id} ({one.board}): {one.description.strip()}" for one in others)
    return (
        "\nThe UART is joined to that of other nodes: all that this firmware prints is what they receive, and what they print is what it "
        f"receives, boot messages included. They are:\n{told}\n"
        "Read the UART often: a byte that is not fetched in time is lost. The others may start earlier or later: what needs an answer is sent "
        "again until it comes. Take whole lines, and pass over those that are not meant for you.\n"
    )


def _heard(others: Mapping[str, str]) -> str:
    lines = []
    for name, said in others.items():
        shown = f":\n{_cut(said, MAX_HEARD_CHARS)}" if said.strip() else " nothing."
        lines.append(f"\n{name}, at the other end of its UART, printed{shown}")
    return "".join(lines)


def _expected(node: NodeSpec) -> str:
    return f"- on the real board, a line contains {node.expect!r}\n" if node.expect and node.deploy else ""


def _guided(guidance: list[str]) -> str:
    return "".join(f"\nGuidance from a person who watches: {one}\n" for one in guidance)


def _printed(output: str) -> str:
    return f"It printed:\n{_shown(output)}" if output.strip() else "It printed nothing."


def _shown(text: str) -> str:
    return _cut(text, MAX_SHOWN_CHARS)


def _cut(text: str, most_chars: int) -> str:
    text = text.strip()
    if len(text) <= most_chars:
        return text
    half = most_chars // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
