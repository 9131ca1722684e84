"""Jobs, tasks and sessions end once, or somebody who is there has them."""

from collections import Counter
from collections.abc import Sequence

import httpx
import msgspec

from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.flash import FlashCancelled, FlashCompleted, FlashFailed, FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.presence import Presence
from benchwire.events.session import SessionClaimed, SessionEnded, SessionFailed, SessionRequested, SessionStopped
from benchwire.events.task import TaskCancelled, TaskClaimed, TaskFailed, TaskFinished, TaskRequested

from .finding import Finding

ENDS_OF_SESSION = (SessionEnded, SessionFailed, SessionStopped)
ENDS_OF_TASK = (TaskFinished, TaskFailed, TaskCancelled)
ENDS_OF_JOB = (FlashCompleted, FlashFailed, FlashCancelled)
_SHOWN_AS: dict[type[Event], str] = {
    SessionEnded: "finished", SessionFailed: "failed", SessionStopped: "stopped",
    TaskFinished: "completed", TaskFailed: "failed", TaskCancelled: "cancelled",
    FlashCompleted: "completed", FlashFailed: "failed", FlashCancelled: "cancelled",
}  # fmt: skip


class _Life(msgspec.Struct):
    """What the log says of one session, task or job: ends since it was asked for last, and who has it."""

    kind: str
    ends: int = 0
    twice: bool = False
    owner: str | None = None


async def ended_once_or_owned(bus: Bus, facts: Sequence[Recorded], *, all_over: bool = True) -> Finding:
    """Every job, task and session is in exactly one terminal state, or still owned by someone who is there.

    With ``all_over`` nothing may be left that still runs: the load has drained.
    """
    lives = _lives(facts)
    there = {f"{one.service} {one.name}" for one in await Presence(bus).everyone()}
    services = {one.partition(" ")[0] for one in there}
    wrong = [f"{one} has ended more than once" for one, life in lives.items() if life.twice]
    open_ = {one: life for one, life in lives.items() if not life.ends}
    for one, life in open_.items():
        who = life.owner or ("flash-agent" if life.kind == "job" else "agent")
        if who not in there and (life.owner is not None or who not in services):
            wrong.append(f"{one} has not ended, and {who} is not there")
        elif all_over:
            wrong.append(f"{one} has not ended, although the load has drained; {who} has it")
    figures = Counter(f"{life.kind}s" for life in lives.values()) + Counter({"still open": len(open_)})
    return Finding(
        invariant="every job, task and session is in exactly one terminal state, or owned by someone alive",
        figures=dict(figures),
        wrong=wrong,
    )


def _lives(facts: Sequence[Recorded]) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}
    for one in facts:
        match one.event:
            case SessionRequested(session_id=name):
                lives[f"session {name}"] = _again(lives.get(f"session {name}"), "session")
            case TaskRequested(task_id=name):
                lives[f"task {name}"] = _again(lives.get(f"task {name}"), "task")
            case FlashRequested(job_id=name, host=host):
                lives[f"job {name}"] = _Life("job", owner=f"flash-agent {host}")
            case SessionClaimed(session_id=name, runner=runner):
                _owned(lives, f"session {name}", runner)
            case TaskClaimed(task_id=name, runner=runner):
                _owned(lives, f"task {name}", runner)
            case event if isinstance(event, ENDS_OF_SESSION):
                _ended(lives, f"session {event.session_id}")
            case event if isinstance(event, ENDS_OF_TASK):
                _ended(lives, f"task {event.task_id}")
            case event if isinstance(event, ENDS_OF_JOB):
                _ended(lives, f"job {event.job_id}")
    return lives


def _again(before: _Life | None, kind: str) -> _Life:
    """A session that ended may be asked for again; what went wrong before stays wrong."""
    return _Life(kind, twice=before is not None and before.twice)


def _owned(lives: dict[str, _Life], name: str, runner: str) -> None:
    if (life := lives.get(name)) is not None:
        life.owner = f"agent {runner}"


def _ended(lives: dict[str, _Life], name: str) -> None:
    if (life := lives.get(name)) is not None:  # else its client runs it, and says what it likes
        life.ends += 1
        life.twice = life.twice or life.ends > 1


async def shown_as_ended(http: httpx.AsyncClient, facts: Sequence[Recorded]) -> Finding:
    """Observability shows each task, job and session in the state in which the log has it."""
    expected: dict[str, str] = {}
    for one in facts:
        event = one.event
        if isinstance(event, ENDS_OF_SESSION):
            expected[f"/sessions/{event.session_id}"] = _SHOWN_AS[type(event)]
        elif isinstance(event, ENDS_OF_TASK):
            expected[f"/tasks/{event.task_id}"] = _SHOWN_AS[type(event)]
        elif isinstance(event, ENDS_OF_JOB):
            expected[f"/api/flash/jobs/{event.job_id}"] = _SHOWN_AS[type(event)]
        elif isinstance(event, SessionRequested):
            expected.pop(f"/sessions/{event.session_id}", None)
    wrong = []
    for path, status in expected.items():
        answer = await http.get(path)
        told = answer.json()
        shown = told.get("session", told).get("status")
        if answer.status_code != httpx.codes.OK or shown != status:
            wrong.append(f"{path} is {status} in the log, and shown as {shown} ({answer.status_code})")
    return Finding(invariant="what ended is shown as it ended", figures={"shown": len(expected)}, wrong=wrong)
