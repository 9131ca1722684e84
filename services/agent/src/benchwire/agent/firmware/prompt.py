"""What the model is told: the task of a node, and after each try exactly what failed. And what its answer holds."""

import re

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

_BLOCK = re.compile(
    r"^[ \t]*```[ \t]*(?P<language>[\w+-]*)[^\n]*\n(?P<code>.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE
)


def first(profile: Profile, node: NodeSpec, *, task: str, guidance: list[str]) -> str:
    """The message that asks for a node's firmware; ``task`` is the prompt of the whole task, for what the node leaves unsaid."""
    about = node.description.strip()
    whole = f"\nIt is part of this task:\n{task.strip()}\n" if task.strip() and task.strip() not in about else ""
    return (
        f"Board profile: {profile.name}\n\n{profile.notes_for_model.strip()}\n\n"
        f"Write this firmware:\n{about}\n{whole}\n"
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


def not_simulated(simulation: Simulation, timeout_s: float) -> str:
    """The feedback to a simulation whose output proves nothing."""
    why = simulation.failure or ""
    late = f" within {timeout_s:g} s" if simulation.outcome == "timeout" else ""
    return f"It was built, but in the simulator {why}{late}.\n{_printed(simulation.output)}"


def not_asserted(simulation: Simulation, results: list[AssertionResult], assertions: list[Assertion]) -> str:
    """The feedback to an output that does not show what it has to."""
    kinds = {one.name: one for one in assertions}
    lines = []
    for one in results:
        if one.required and not one.passed:
            asked = kinds[one.name]
            forbidden = asked.kind == "absent"
            what = f"must not appear, but did: {one.detail}" if forbidden else one.detail
            lines.append(f"- {one.name} ({asked.kind} {asked.pattern!r}): {what}")
    return (
        "It was built and ran, but its output is not what is asserted:\n"
        + _shown("\n".join(lines))
        + f"\n{_printed(simulation.output)}"
    )


def _listed(assertions: list[Assertion]) -> str:
    kinds = {
        "substring": "the output contains",
        "regex": "a line matches the regular expression",
        "absent": "the output never contains",
    }
    return "\n".join(
        f"- {one.name}: {kinds.get(one.kind, one.kind)} {one.pattern!r}{'' if one.required else ' (not required)'}"
        for one in assertions
    )


def _expected(node: NodeSpec) -> str:
    return f"- on the real board, a line contains {node.expect!r}\n" if node.expect and node.deploy else ""


def _guided(guidance: list[str]) -> str:
    return "".join(f"\nGuidance from a person who watches: {one}\n" for one in guidance)


def _printed(output: str) -> str:
    return f"It printed:\n{_shown(output)}" if output.strip() else "It printed nothing."


def _shown(text: str) -> str:
    text = text.strip()
    if len(text) <= MAX_SHOWN_CHARS:
        return text
    half = MAX_SHOWN_CHARS // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
