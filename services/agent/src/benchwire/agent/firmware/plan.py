"""What a task will make. Pure: the request in, nodes out.

Nodes that the request brings are taken as they are. Without any, the task has one node for its board, described by the prompt.

A node without assertions gets one. If it comes with sources, that is that it prints anything at all: only their author knows what. If
the model writes it, it is the first text that the description puts in quotes after a word like "print" (``print "HELLO"``), and
otherwise ``TEST PASS``, which the model is told to print once its firmware has checked itself.
"""

import re

from msgspec.structs import replace

from benchwire.agent.tools.assertions import IllegalAssertion, check
from benchwire.boards import profile as profiles
from benchwire.events.task import Assertion, NodeSpec, TaskRequested

PASS = "TEST PASS"  # noqa: S105 - not a password
MAX_NODES = 32

_QUOTED = re.compile(
    r"""\b(?:print|say|output|report|write|send|show)(?:s|ing)?\b[^."'`“\n]{0,60}(?:"([^"\n]+)"|'([^'\n]+)'|`([^`\n]+)`|“([^”\n]+)”)""",
    re.IGNORECASE,
)


class CannotPlan(ValueError):
    """The request cannot become nodes; the sentence says what is missing or wrong."""


def plan(request: TaskRequested) -> list[NodeSpec]:
    """The nodes of a firmware task, each with at least one assertion. Raises ``CannotPlan``."""
    nodes = request.nodes or [_only_node(request)]
    if len(nodes) > MAX_NODES:
        raise CannotPlan(f"{len(nodes)} nodes are too many for one task; at most {MAX_NODES} are made")
    ids = [node.node_id for node in nodes]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise CannotPlan(f"two nodes have the same id: {', '.join(twice)}")
    return [_complete(node, request) for node in nodes]


def _only_node(request: TaskRequested) -> NodeSpec:
    if not request.board:
        raise CannotPlan(f"the task names no board; choose one of {', '.join(profiles.simulated_names())}")
    if not request.prompt.strip():
        raise CannotPlan("the task has neither a prompt nor nodes")
    description = "\n".join([request.prompt, *request.answers])
    return NodeSpec(node_id="node-1", board=request.board, description=description)


def _complete(node: NodeSpec, request: TaskRequested) -> NodeSpec:
    try:
        profiles.load_simulated(node.board)
        check(node.assertions)
    except (profiles.UnknownProfile, profiles.NotSimulated, IllegalAssertion) as error:
        raise CannotPlan(f"node {node.node_id}: {error}") from error
    if node.sources is None and not node.description.strip() and not request.prompt.strip():
        raise CannotPlan(f"node {node.node_id} has neither a description nor sources")
    if node.sources is None and not node.description.strip():
        node = replace(node, description=request.prompt)
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
