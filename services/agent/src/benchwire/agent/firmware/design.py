"""A system from plain words: the model says which nodes there are, on which boards, what each has to show, and whose UARTs are joined."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from benchwire.agent.firmware.plan import CannotPlan, checked
from benchwire.agent.model.endpoint import Endpoint
from benchwire.boards import profile as profiles
from benchwire.boards.profile import Profile
from benchwire.events.asks import SystemDesigned
from benchwire.events.task import Assertion, NodeSpec, UartLink

MAX_PROMPT_CHARS = 100_000


class DesignedAssertion(Struct, frozen=True, kw_only=True):
    """One thing that a node's output has to show."""

    name: str
    kind: Literal["substring", "regex", "absent", "order", "count", "range"]
    pattern: str = ""
    patterns: list[str] = []
    min_count: int | None = None
    max_count: int | None = None
    group: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    within_s: float | None = None
    required: bool = True


class DesignedNode(Struct, frozen=True, kw_only=True):
    """One board and its firmware."""

    node_id: str
    board: str
    description: str
    assertions: list[DesignedAssertion]
    expect: str | None = None


class DesignedLink(Struct, frozen=True, kw_only=True):
    """Two nodes whose UARTs are joined."""

    a: str
    b: str


class DesignedSystem(Struct, frozen=True, kw_only=True):
    """What the model answers."""

    summary: str
    nodes: list[DesignedNode]
    links: list[DesignedLink] = []


SYSTEM = """You design systems of microcontroller boards for a lab. Each node of a system is one board with one firmware. Another author
writes each firmware from its description alone, in C for bare metal; it is compiled, run in a simulator, and judged by what it prints on
the board's serial port (UART).

Say for each node:
- node_id: a short name in lower case, with letters, digits and hyphens; no two are the same.
- board: the name of a profile, out of those that are offered.
- description: all that its author has to know: what it does, in which order, with which numbers, and the exact text of each line that it
  prints. Where nodes talk, both descriptions state the same protocol, line by line. The firmware is to test itself and print the outcome.
- assertions: what its output has to show when it works. They have to agree with the description to the letter. Kinds:
  substring (the text "pattern" appears), regex ("pattern", RE2 syntax, matches within a line), absent (the text "pattern" never appears),
  order (the texts "patterns" appear one after the other), count (the regex "pattern" matches at least "min_count" and at most "max_count"
  times), range (the regex "pattern" matches, and its "group", by number or name, is each time a number from "minimum" to "maximum").
  "within_s" on any of them is a time in seconds from the first byte of output: what has to be shown is shown by then, and what is forbidden
  is looked for until then. absent, range and max_count without it are watched to the end of the run, which then takes all of its time.
- expect: a text that one line of the real board's output contains when it works; leave it out when an assertion says it. Real boards may not
  be joined: for a node that a link names, it is a line that it prints before it hears from another.

A simulated board has its UART, time, and nothing else connected: no sensors, no network, no radio, no files. What such a thing would bring
is made up by the firmware itself, by a rule that the description states. Nodes can talk over their UARTs only, and only where "links" join
two of them: each then receives all that the other prints. Make as few nodes as the words ask for; one is common. "summary" says in a
sentence or two what the system does."""


class NotDesigned(ValueError):
    """There is nothing to design from; the sentence says what is missing."""


async def designed(
    endpoint: Endpoint,
    *,
    prompt: str,
    answers: Sequence[str],
    board: str | None,
    deploy: bool,
    hear: Callable[[str], Awaitable[None]] | None = None,
) -> SystemDesigned:
    """The system that the model makes of ``prompt`` and the ``answers`` to its questions; with ``board``, all nodes are for that.

    With ``deploy`` those go onto boards that something flashes. Raises ``NotDesigned`` and ``ModelFailed``.
    """
    words = "\n".join([prompt, *answers]).strip()
    if not words:
        raise NotDesigned("the task has neither a prompt nor nodes")
    if len(words) > MAX_PROMPT_CHARS:
        raise NotDesigned(f"the prompt is longer than {MAX_PROMPT_CHARS} characters; say it shorter")
    offered = await asyncio.to_thread(_offered, board)
    model = await endpoint.model()
    parsed = await model.parsed(
        [{"role": "user", "content": _asked(words, offered)}], system=SYSTEM, kind=DesignedSystem, hear=hear,
        check=lambda system: _check(system, offered, words),
    )  # fmt: skip
    system = parsed.value
    return SystemDesigned(
        nodes=_completed(system, words, deploy=deploy), links=_links(system), summary=system.summary, model=parsed.model,
        input_tokens=parsed.input_tokens, output_tokens=parsed.output_tokens, duration_s=round(parsed.duration_s, 3),
    )  # fmt: skip


def _offered(board: str | None) -> list[Profile]:
    """The profile that is asked for, else those that this host can build and simulate; all that can be simulated when it can do none."""
    try:
        if board:
            return [profiles.load_simulated(board)]
    except (profiles.UnknownProfile, profiles.NotSimulated) as error:
        raise NotDesigned(str(error)) from error
    known = [profiles.load(name) for name in profiles.simulated_names()]
    return [one for one in known if not profiles.missing(one)] or known


def _asked(words: str, offered: Sequence[Profile]) -> str:
    boards = "\n\n".join(f"{one.name}: {one.title}\n{one.notes_for_model.strip()}" for one in offered)
    all_for_it = f"All nodes are for the board {offered[0].name}.\n\n" if len(offered) == 1 else ""
    return f"The boards:\n\n{boards}\n\n{all_for_it}Design this system:\n{words}"


def _check(system: DesignedSystem, offered: Sequence[Profile], words: str) -> None:
    """Raises ``CannotPlan`` with what the model has to mend."""
    if not system.nodes:
        raise CannotPlan("it has no nodes")
    names = [one.name for one in offered]
    for node in system.nodes:
        if node.board not in names:
            raise CannotPlan(
                f"node {node.node_id} is for {node.board!r}, which is not offered; there are {', '.join(names)}"
            )
        if not node.description.strip():
            raise CannotPlan(f"node {node.node_id} has no description")
    _completed(system, words, deploy=False)


def _completed(system: DesignedSystem, words: str, *, deploy: bool) -> list[NodeSpec]:
    nodes = [
        NodeSpec(
            node_id=one.node_id, board=one.board, description=one.description, expect=one.expect or None,
            deploy=deploy and profiles.load(one.board).driver is not None,
            assertions=[msgspec.convert(msgspec.to_builtins(each), Assertion) for each in one.assertions],
        )
        for one in system.nodes
    ]  # fmt: skip
    return checked(nodes, _links(system), prompt=words)


def _links(system: DesignedSystem) -> list[UartLink]:
    return [UartLink(a=one.a, b=one.b) for one in system.links]
