"""What a task will make. Pure: nodes and links in, nodes out that can be made.

A node without assertions gets one. If it comes with sources, that is that it prints anything at all: only their author knows what. If
the model writes it, it is the first text that the description puts in quotes after a word like "print" (``print "HELLO"``), and
otherwise ``TEST PASS``, which the model is told to print once its firmware has checked itself.
"""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from benchwire.agent.tools.assertions import IllegalAssertion, check
from benchwire.boards import profile as profiles
from benchwire.events.event import IllegalToken, token
from benchwire.events.task import Assertion, NodeSpec, TaskRequested, UartLink

PASS = "TEST PASS"  # noqa: S105 - not a password
MAX_NODES = 64
MAX_JOINED = 8  # so many simulators run at the same moment

_QUOTED = re.compile(
    r"""\b(?:print|say|output|report|write|send|show)(?:s|ing)?\b[^."'`“\n]{0,60}(?:"([^"\n]+)"|'([^'\n]+)'|`([^`\n]+)`|“([^”\n]+)”)""",
    re.IGNORECASE,
)


class CannotPlan(ValueError):
    """The request cannot become nodes; the sentence says what is missing or wrong."""


def plan(request: TaskRequested) -> list[NodeSpec]:
    """The nodes that a firmware task brings, each with at least one assertion. Raises ``CannotPlan``."""
    return checked(request.nodes, request.links, prompt=request.prompt)


def checked(nodes: Sequence[NodeSpec], links: Sequence[UartLink], *, prompt: str) -> list[NodeSpec]:
    """The nodes, completed; ``prompt`` is the description of those that have none. Raises ``CannotPlan``."""
    if len(nodes) > MAX_NODES:
        raise CannotPlan(f"{len(nodes)} nodes are too many for one task; at most {MAX_NODES} are made")
    ids = [node.node_id for node in nodes]
    small = [one.lower() for one in ids]
    twice = sorted({one for one, name in zip(ids, small, strict=True) if small.count(name) > 1})
    if twice:
        raise CannotPlan(f"two nodes have the same id: {', '.join(twice)}")
    _check_links(ids, links)
    _check_groups(nodes, links)
    return [_complete(node, prompt) for node in nodes]


def groups(nodes: Sequence[NodeSpec], links: Sequence[UartLink]) -> list[list[NodeSpec]]:
    """The nodes that are simulated together: those that links join, directly or by way of others. In the order of the plan."""
    leader = {node.node_id: node.node_id for node in nodes}
    for link in links:
        into, gone = leader[link.a], leader[link.b]
        leader = {name: into if one == gone else one for name, one in leader.items()}
    found: dict[str, list[NodeSpec]] = {}
    for node in nodes:
        found.setdefault(leader[node.node_id], []).append(node)
    return list(found.values())


def joined_to(node_id: str, links: Sequence[UartLink]) -> list[str]:
    """The nodes at the other ends of a node's links."""
    ends = [one.b if one.a == node_id else one.a for one in links if node_id in (one.a, one.b)]
    return list(dict.fromkeys(ends))


def _check_links(ids: Sequence[str], links: Sequence[UartLink]) -> None:
    for link in links:
        for end in (link.a, link.b):
            if end not in ids:
                raise CannotPlan(f"a link names {end!r}, and no node is called so; there are {', '.join(ids)}")
        if link.a == link.b:
            raise CannotPlan(f"a link joins {link.a} with itself")
    pairs = [frozenset((one.a, one.b)) for one in links]
    if len(set(pairs)) < len(pairs):
        raise CannotPlan("two links join the same nodes")


def _check_groups(nodes: Sequence[NodeSpec], links: Sequence[UartLink]) -> None:
    for group in groups(nodes, links):
        if len(group) > MAX_JOINED:
            names = ", ".join(one.node_id for one in group)
            raise CannotPlan(f"{len(group)} nodes are joined ({names}); at most {MAX_JOINED} are simulated together")


def _complete(node: NodeSpec, prompt: str) -> NodeSpec:
    try:
        token(node.node_id, "node_id")
        profile = profiles.load_simulated(node.board)
        check(node.assertions)
    except (IllegalToken, profiles.UnknownProfile, profiles.NotSimulated, IllegalAssertion) as error:
        raise CannotPlan(f"node {node.node_id}: {error}") from error
    if node.deploy and profile.driver is None:
        raise CannotPlan(f"node {node.node_id}: {profiles.NotFlashed(profile)}")
    if node.sources is None and not node.description.strip() and not prompt.strip():
        raise CannotPlan(f"node {node.node_id} has neither a description nor sources")
    if node.sources is None and not node.description.strip():
        node = replace(node, description=prompt)
    return node if node.assertions else replace(node, assertions=[_default_assertion(node)])


def _default_assertion(node: NodeSpec) -> Assertion:
    if node.sources is not None:
        return Assertion(name="prints something", pattern=r"\S", kind="regex")
    if node.expect:
        return Assertion(name="prints what is expected", pattern=node.expect)
    if (quoted := _QUOTED.search(node.description)) is not None:
        text = next(group for group in quoted.groups() if group)
        return Assertion(name="prints what was asked for", pattern=text)
    return Assertion(name="passes its own test", pattern=PASS)
