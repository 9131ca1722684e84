"""What a task is asked to make: firmware for boards, or modules of code. What could never be done is refused here, before anybody works on it."""

import re
from collections.abc import Sequence
from datetime import datetime

from benchwire.boards import profile
from benchwire.events.assertions import IllegalAssertion, check
from benchwire.events.event import token
from benchwire.events.task import NodeSpec, TaskRequested, UartLink
from benchwire.observability import errors
from benchwire.observability.commands.leases import checked_labels
from benchwire.observability.wire.requests import StartNode, StartTask

FIRMWARE, CODE = "firmware", "code"
MAX_NODES = 64
MAX_MODULES = 16
MAX_JOINED = 8
MAX_ITERATIONS = 20
MAX_SIMULATION_S = 300.0
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_MODULE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}\.py")
_OF_BOARDS = (
    "board",
    "assertions",
    "expect",
    "host",
    "device",
    "labels",
)  # fields of a node that a module has no use for


def start_task(asked: StartTask, task_id: str, now: datetime) -> TaskRequested:
    """A task for the agent runners; without nodes its model plans them. Raises ``Unusable`` when it could never be done."""
    kind = asked.kind or (FIRMWARE if asked.board or asked.nodes else CODE)
    if kind not in (FIRMWARE, CODE):
        raise errors.Unusable(f"kind: it must be {FIRMWARE} or {CODE}, not {kind[:40]!r}")
    if not (asked.nodes or asked.prompt.strip()):
        raise errors.Unusable("prompt: say what is to be made, or name the nodes")
    _check_numbers(asked)
    if kind == CODE:
        board, nodes = None, _modules(asked)
    else:
        board = simulated_board(asked.board, "board") if asked.board else None
        if board is not None and asked.deploy and not asked.nodes:
            _check_flashed(board, "board")
        nodes = _nodes(asked, board)
    return TaskRequested(
        timestamp=now, task_id=task_id, kind=kind, prompt=asked.prompt, answers=asked.answers, board=board, nodes=nodes,
        max_iterations=asked.max_iterations, simulation_timeout_s=asked.simulation_timeout_s, links=_links(asked, nodes),
        quality_target=asked.quality_target, deploy=asked.deploy and kind == FIRMWARE,
    )  # fmt: skip


def _check_numbers(asked: StartTask) -> None:
    if not 1 <= asked.max_iterations <= MAX_ITERATIONS:
        raise errors.Unusable(f"max_iterations: it must be between 1 and {MAX_ITERATIONS}")
    if not 0 < asked.simulation_timeout_s <= MAX_SIMULATION_S:
        raise errors.Unusable(f"simulation_timeout_s: it must be above 0, and at most {MAX_SIMULATION_S:g}")
    if not 0 <= asked.quality_target <= 1:
        raise errors.Unusable("quality_target: it must be between 0 and 1")


def _check_names(nodes: Sequence[NodeSpec], most: int) -> None:
    if len(nodes) > most:
        raise errors.Unusable(f"nodes: {len(nodes)} are more than the {most} that one task takes")
    if len({node.node_id.lower() for node in nodes}) < len(nodes):
        raise errors.Unusable("nodes: two have the same node_id")


# Firmware


def _nodes(asked: StartTask, board: str | None) -> list[NodeSpec]:
    nodes = [_node(node, asked, board, f"nodes[{place}]") for place, node in enumerate(asked.nodes)]
    _check_names(nodes, MAX_NODES)
    return nodes


def _node(node: StartNode, asked: StartTask, board: str | None, where: str) -> NodeSpec:
    token(node.node_id, f"{where}.node_id")
    name = simulated_board(node.board, f"{where}.board") if node.board else board
    if name is None:
        raise errors.Unusable(
            f"{where}.board: it is missing, and the task names none; there are {', '.join(profile.simulated_names())}"
        )
    if not (node.description or asked.prompt or node.sources):
        raise errors.Unusable(f"{where}.description: say what the firmware does, or hand in its sources")
    if node.depends_on:
        raise errors.Unusable(f"{where}.depends_on: only modules of code depend on each other; links join boards")
    deploy = node.deploy and asked.deploy
    if deploy:
        _check_flashed(name, f"{where}.board")
    for file in node.sources or {}:
        if not _FILE_NAME.fullmatch(file):
            raise errors.Unusable(f"{where}.sources: {file[:60]!r} is not a plain file name")
    try:
        check(node.assertions)
    except IllegalAssertion as error:
        raise errors.Unusable(f"{where}.assertions: {error}") from None
    return NodeSpec(
        node_id=node.node_id, board=name, description=node.description or asked.prompt, assertions=node.assertions,
        sources=node.sources or None, deploy=deploy, expect=node.expect, host=node.host, device=node.device,
        labels=checked_labels(node.labels),
    )  # fmt: skip


def simulated_board(name: str, where: str) -> str:
    """The profile of that name or alias, when a task can have it. Raises ``Unusable``."""
    try:
        return profile.load_simulated(name).name
    except (profile.UnknownProfile, profile.NotSimulated) as error:
        raise errors.Unusable(f"{where}: {error}") from None


def _check_flashed(name: str, where: str) -> None:
    try:
        profile.load_flashed(name)
    except profile.NotFlashed as error:
        raise errors.Unusable(f"{where}: {error}; without deploy (deploy false) it is built and simulated") from None


def _links(asked: StartTask, nodes: Sequence[NodeSpec]) -> list[UartLink]:
    names = {node.node_id for node in nodes if node.board}
    joined: dict[str, set[str]] = {name: {name} for name in names}
    pairs = set()
    for place, link in enumerate(asked.links):
        where = f"links[{place}]"
        unknown = next((end for end in (link.a, link.b) if end not in names), None)
        if unknown is not None:
            raise errors.Unusable(
                f"{where}: {unknown[:60]!r} is none of the nodes that have a board; name them in nodes"
            )
        if link.a == link.b:
            raise errors.Unusable(f"{where}: it joins {link.a} with itself")
        if frozenset((link.a, link.b)) in pairs:
            raise errors.Unusable(f"{where}: {link.a} and {link.b} are joined already")
        pairs.add(frozenset((link.a, link.b)))
        together = joined[link.a] | joined[link.b]
        if len(together) > MAX_JOINED:
            raise errors.Unusable(f"{where}: {len(together)} nodes would be joined; {MAX_JOINED} are the most")
        joined |= dict.fromkeys(together, together)
    return asked.links


# Code


def _modules(asked: StartTask) -> list[NodeSpec]:
    if asked.board is not None:
        raise errors.Unusable("board: code is made for none; ask for the kind firmware")
    modules = [_module(node, asked, f"nodes[{place}]") for place, node in enumerate(asked.nodes)]
    _check_names(modules, MAX_MODULES)
    names = {module.node_id for module in modules}
    for place, module in enumerate(modules):
        unknown = next((one for one in module.depends_on if one not in names or one == module.node_id), None)
        if unknown is not None:
            raise errors.Unusable(f"nodes[{place}].depends_on: {unknown[:60]!r} is no other of the modules")
    return modules


def _module(node: StartNode, asked: StartTask, where: str) -> NodeSpec:
    name = _file(node.node_id)
    if not _MODULE.fullmatch(name) or name.startswith("test_"):
        raise errors.Unusable(
            f"{where}.node_id: {node.node_id[:60]!r} is no file name for a module like validator.py; its tests come by themselves"
        )
    given = next((field for field in _OF_BOARDS if getattr(node, field)), None)
    if given is not None:
        raise errors.Unusable(f"{where}.{given}: a module of code has none; ask for the kind firmware")
    if not (node.description or asked.prompt or node.sources):
        raise errors.Unusable(f"{where}.description: say what the module does, or hand in its sources")
    if node.sources and node.sources.keys() != {name, f"test_{name}"}:
        raise errors.Unusable(f"{where}.sources: they have to be {name} and test_{name}, and no others")
    return NodeSpec(
        node_id=name, description=node.description, sources=node.sources or None, deploy=False,
        depends_on=[_file(one) for one in node.depends_on],
    )  # fmt: skip


def _file(name: str) -> str:
    return name if name.endswith(".py") else f"{name}.py"
