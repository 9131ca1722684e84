"""What happens when somebody asks for something: what is, what is asked and what time it is, to the event that follows.

Nothing here waits or looks anything up. A broken rule raises; None says that there is nothing left to do.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import UNSET

from benchwire.boards import profile
from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.device import DeviceReleased
from benchwire.events.event import Artifact, Event, token
from benchwire.events.flash import FlashCancelRequested, FlashPauseRequested, FlashRequested, FlashResumeRequested
from benchwire.events.session import (
    SessionDeleted,
    SessionDescribed,
    SessionFailed,
    SessionRequested,
    SessionStarted,
    SessionStopped,
    SessionStopRequested,
    Spent,
)
from benchwire.events.task import (
    Assertion,
    NodeSpec,
    TaskCancelled,
    TaskCancelRequested,
    TaskFailed,
    TaskGuided,
    TaskRequested,
)
from benchwire.observability import errors, recipe
from benchwire.observability.blueprint import ACTIVE, Blueprint
from benchwire.observability.session import Session
from benchwire.observability.task import Task
from benchwire.observability.wire.blueprints import ChangeAgent, CreateAgent
from benchwire.observability.wire.requests import CreateSession, Describe, Guide, StartNode, StartTask

DeviceLease = tuple[str, str, str]  # host, device, lease id
FlashJob = tuple[str, str]  # host, job id

ASKED = "stopped on request"

MAX_NODES = 64
MAX_ITERATIONS = 20
MAX_SIMULATION_S = 300.0
DEFAULT_TURNS = 50
MAX_TURNS = 1000
_KINDS_OF_ASSERTION = ("substring", "regex", "absent")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


# Sessions


def create_session(session: Session | None, asked: CreateSession, now: datetime) -> Event:
    """A session of a new id. Raises ``SessionExists``."""
    token(asked.session_id, "session_id")
    if asked.parent_session_id is not None:
        token(asked.parent_session_id, "parent_session_id")
    if session is not None:
        raise errors.SessionExists(asked.session_id)
    if asked.prompt is None:
        return SessionStarted(
            timestamp=now, session_id=asked.session_id, session_name=asked.session_name, project_dir=asked.project_dir,
            agent_name=asked.agent_name, parent_session_name=asked.parent_session_name,
            parent_session_id=asked.parent_session_id, registered=True,
        )  # fmt: skip
    return SessionRequested(
        timestamp=now, session_id=asked.session_id, session_name=asked.session_name, prompt=asked.prompt,
        agent_name=asked.agent_name, project_dir=asked.project_dir, parent_session_name=asked.parent_session_name,
        parent_session_id=asked.parent_session_id, model=asked.model, max_turns=turns(asked.max_turns),
    )  # fmt: skip


def turns(max_turns: int | None) -> int:
    """How many turns a session may have. Raises ``Unusable``."""
    allowed = DEFAULT_TURNS if max_turns is None else max_turns
    if not 1 <= allowed <= MAX_TURNS:
        raise errors.Unusable(f"max_turns: it must be between 1 and {MAX_TURNS}")
    return allowed


def stop_session(
    session: Session | None, session_id: str, now: datetime, *, reason: str = ASKED
) -> SessionStopped | SessionStopRequested | None:
    """Its runner is told; one that has none, because nobody took it or because it runs outside, is stopped with that."""
    if session is None:
        raise errors.SessionUnknown(session_id)
    if not session.is_running:
        raise errors.SessionNotRunning(session_id, session.status)
    if session.runner is None:
        return SessionStopped(timestamp=now, session_id=session_id, reason=reason)
    if session.status == "stopping":
        return None
    return SessionStopRequested(timestamp=now, session_id=session_id, reason=reason)


def close_session(session: Session | None, gone: str, now: datetime) -> Event | None:
    """What the runner ``gone`` held, unless somebody else has it by now."""
    if session is None or not session.is_running or session.runner != gone:
        return None
    return SessionFailed(timestamp=now, session_id=session.session_id, reason=f"its runner {gone} is gone")


def describe_session(session: Session | None, session_id: str, asked: Describe, now: datetime) -> Event:
    """New names for a session."""
    if session is None:
        raise errors.SessionUnknown(session_id)
    if asked.session_name is None and asked.project_dir is None and asked.agent_name is None:
        raise errors.Unusable("nothing to change: give session_name, project_dir or agent_name")
    return SessionDescribed(
        timestamp=now, session_id=session_id, session_name=asked.session_name, project_dir=asked.project_dir, agent_name=asked.agent_name
    )  # fmt: skip


def delete_session(session: Session | None, session_id: str, usage: Sequence[Spent], now: datetime) -> Event:
    """The tombstone, which keeps what the session had cost. One that an agent still works on has to be stopped first."""
    if session is None:
        raise errors.SessionUnknown(session_id)
    if session.is_running and session.requested:
        raise errors.SessionBusy(session_id)
    return SessionDeleted(timestamp=now, session_id=session_id, usage=list(usage))


# Blueprints


def create_blueprint(blueprint: Blueprint | None, asked: CreateAgent, now: datetime) -> Event:
    """A blueprint of a free name. Raises ``BlueprintExists`` and ``Unusable``."""
    recipe.checked_name(asked.name)
    _check_recipe(asked)
    if blueprint is not None:
        raise errors.BlueprintExists(asked.name)
    return BlueprintCreated(
        timestamp=now, name=asked.name, description=asked.description, system_prompt=asked.system_prompt,
        mcp_servers=asked.mcp_servers, skills=asked.skills, tags=list(dict.fromkeys(asked.tags)), status=asked.status,
    )  # fmt: skip


def change_blueprint(blueprint: Blueprint | None, name: str, asked: ChangeAgent, now: datetime) -> Event | None:
    """What differs from what there is. Raises ``BlueprintUnknown`` and ``Unusable``."""
    if blueprint is None:
        raise errors.BlueprintUnknown(name)
    if asked.name not in (UNSET, name):
        raise errors.Unusable("name: an agent keeps its name; create another one and delete this one")
    _check_recipe(asked)
    given = asked.changes
    if "tags" in given:
        given["tags"] = list(dict.fromkeys(given["tags"]))
    news = {field: value for field, value in given.items() if value != getattr(blueprint, field)}
    return BlueprintUpdated(timestamp=now, name=name, changes=news) if news else None


def delete_blueprint(blueprint: Blueprint | None, name: str, now: datetime) -> Event:
    """The end of a blueprint. Raises ``BlueprintUnknown``."""
    if blueprint is None:
        raise errors.BlueprintUnknown(name)
    return BlueprintDeleted(timestamp=now, name=name)


def _check_recipe(asked: CreateAgent | ChangeAgent) -> None:
    if asked.description is not UNSET:
        recipe.checked_text(asked.description, "description")
    if asked.system_prompt is not UNSET:
        recipe.checked_text(asked.system_prompt, "system_prompt")
    if asked.mcp_servers is not UNSET:
        recipe.checked_servers(asked.mcp_servers)


def can_start(blueprint: Blueprint | None, agent_name: str) -> None:
    """Raises ``Unusable`` when a session for that agent could never run."""
    if blueprint is None:
        raise errors.Unusable(
            f"agent_name: there is no agent {agent_name[:64]!r}; GET /agents lists them, and without agent_name any runner does"
        )
    if blueprint.status != ACTIVE:
        raise errors.Unusable(f"agent_name: the agent {agent_name!r} is {blueprint.status}; set it active first")


# Tasks


def start_task(asked: StartTask, task_id: str, now: datetime) -> TaskRequested:
    """A task for the agent runners. Raises ``Unusable`` when it could never be done."""
    kind = asked.kind or ("firmware" if asked.board or asked.nodes else "code")
    if kind == "code":
        raise errors.Unusable("kind: tasks for code are not made here yet; ask for firmware, with a board")
    if kind != "firmware":
        raise errors.Unusable(f"kind: it must be firmware, not {kind[:40]!r}")
    if not 1 <= asked.max_iterations <= MAX_ITERATIONS:
        raise errors.Unusable(f"max_iterations: it must be between 1 and {MAX_ITERATIONS}")
    if not 0 < asked.simulation_timeout_s <= MAX_SIMULATION_S:
        raise errors.Unusable(f"simulation_timeout_s: it must be above 0, and at most {MAX_SIMULATION_S:g}")
    board = _board(asked.board, "board") if asked.board else None
    return TaskRequested(
        timestamp=now, task_id=task_id, kind=kind, prompt=asked.prompt, answers=asked.answers, board=board,
        nodes=_nodes(asked, board), max_iterations=asked.max_iterations, simulation_timeout_s=asked.simulation_timeout_s,
    )  # fmt: skip


def _nodes(asked: StartTask, board: str | None) -> list[NodeSpec]:
    given = asked.nodes or [StartNode(node_id="node-1", description=asked.prompt)]
    if len(given) > MAX_NODES:
        raise errors.Unusable(f"nodes: {len(given)} are more than the {MAX_NODES} that one task takes")
    nodes = [_node(node, asked.prompt, board, f"nodes[{place}]") for place, node in enumerate(given)]
    if len({node.node_id for node in nodes}) < len(nodes):
        raise errors.Unusable("nodes: two have the same node_id")
    return nodes


def _node(node: StartNode, prompt: str, board: str | None, where: str) -> NodeSpec:
    token(node.node_id, f"{where}.node_id")
    name = _board(node.board, f"{where}.board") if node.board else board
    if name is None:
        raise errors.Unusable(
            f"{where}.board: it is missing, and the task names none; there are {', '.join(profile.names())}"
        )
    if not (node.description or prompt or node.sources):
        raise errors.Unusable(f"{where}.description: say what the firmware does, or hand in its sources")
    for file in node.sources or {}:
        if not _FILE_NAME.fullmatch(file):
            raise errors.Unusable(f"{where}.sources: {file[:60]!r} is not a plain file name")
    for assertion in node.assertions:
        _check(assertion, f"{where}.assertions")
    return NodeSpec(
        node_id=node.node_id, board=name, description=node.description or prompt, assertions=node.assertions, sources=node.sources or None,
        deploy=node.deploy, expect=node.expect,
    )  # fmt: skip


def _board(name: str, where: str) -> str:
    try:
        return profile.load(name).name
    except profile.UnknownProfile as error:
        raise errors.Unusable(f"{where}: {error}") from None


def _check(assertion: Assertion, where: str) -> None:
    if assertion.kind not in _KINDS_OF_ASSERTION:
        raise errors.Unusable(
            f"{where}: kind must be one of {', '.join(_KINDS_OF_ASSERTION)}, not {assertion.kind[:40]!r}"
        )
    if assertion.kind == "regex":
        try:
            re.compile(assertion.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise errors.Unusable(f"{where}: {assertion.pattern[:60]!r} is not a regular expression: {error}") from None


def cancel_task(task: Task | None, task_id: str, now: datetime) -> Event | None:
    """Its runner is told; one that nobody took is cancelled with that."""
    if task is None:
        raise errors.TaskUnknown(task_id)
    if not task.is_running:
        raise errors.TaskNotRunning(task_id, task.status)
    if task.runner is None:
        return TaskCancelled(timestamp=now, task_id=task_id, reason="cancelled on request")
    if task.status == "cancelling":
        return None
    return TaskCancelRequested(timestamp=now, task_id=task_id)


def close_task(task: Task | None, task_id: str, gone: str, now: datetime) -> Event | None:
    """What the runner ``gone`` held, unless somebody else has it by now."""
    if task is None or not task.is_running or task.runner != gone:
        return None
    return TaskFailed(timestamp=now, task_id=task_id, reason=f"its runner {gone} is gone")


def let_go(leases: Sequence[DeviceLease], jobs: Sequence[FlashJob], now: datetime) -> list[Event]:
    """What ends with a task whose runner is gone: its ``leases``, and its flash ``jobs`` that are still active."""
    reason = "its task has ended"
    return [
        *(FlashCancelRequested(timestamp=now, host=host, job_id=job_id, reason=reason) for host, job_id in jobs),
        *(
            DeviceReleased(timestamp=now, host=host, device=device, lease_id=lease_id, reason=reason)
            for host, device, lease_id in leases
        ),
    ]


def guide_task(task: Task | None, task_id: str, asked: Guide, now: datetime) -> Event:
    """Guidance for the next generation."""
    if task is None:
        raise errors.TaskUnknown(task_id)
    if not task.is_running:
        raise errors.TaskNotRunning(task_id, task.status)
    return TaskGuided(timestamp=now, task_id=task_id, guidance=asked.guidance, node_id=asked.node_id)


# Flash jobs


def request_flash(
    *,
    job_id: str,
    host: str,
    device: str,
    board: str | None,
    image: Artifact,
    document_id: str | None,
    address: int | None,
    now: datetime,
) -> FlashRequested:
    """A job for the flash agent of ``host``; without an ``address`` the board's own."""
    if address is None:
        if board is None:
            raise errors.Unusable("address: nobody knows what kind of board this is, so say where its firmware goes")
        address = flash_address(board)
    if not 0 <= address < 1 << 32:
        raise errors.Unusable("address: it must fit into 32 bits")
    return FlashRequested(
        timestamp=now, host=host, job_id=job_id, device=device, image=image, address=address, profile=board, document_id=document_id
    )  # fmt: skip


def flash_address(board: str) -> int:
    """Where the firmware of a board begins."""
    try:
        driver = profile.load(board).driver
    except profile.UnknownProfile as error:
        raise errors.Unusable(f"address: {error}") from None
    return driver.address if isinstance(driver, profile.Pyocd) else driver.offset


STEERING: dict[str, Callable[..., Event]] = {
    "pause": FlashPauseRequested,
    "resume": FlashResumeRequested,
    "cancel": FlashCancelRequested,
}
