"""Ending what runs: ask its owner, wait a while for the owner's answer, and close what an owner left behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from benchwire.events.catalog import AGENT
from benchwire.events.event import Event
from benchwire.events.log import Contended, LogUnavailable
from benchwire.events.session import SessionStopped
from benchwire.observability import commands, errors, queries, session, task
from benchwire.observability.boards import leasing
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.session import Session
from benchwire.observability.task import Task

ANSWER_WITHIN_S = 4.5  # longer than a runner's presence outlives it, so that who asks hears that it is gone
_LOOK_EVERY_S = 0.5
_DECIDE_S = 2.0

Life = TypeVar("Life", Session, Task)
Close = Callable[[str], Awaitable[object]]


def answer_until() -> float:
    """Until when an answer is waited for that is asked for now, on the event loop's clock."""
    return asyncio.get_running_loop().time() + ANSWER_WITHIN_S


# Sessions


async def stop_session(lab: Lab, session_id: str) -> Session:
    """Stops a session, and returns it as it is when it has ended or its runner took too long to say so.

    Raises ``SessionUnknown`` and ``SessionNotRunning``.
    """
    known = await stoppable(lab, session_id)
    until = answer_until()
    await ask_to_stop(lab, known, commands.ASKED)
    return await stopped(lab, known, until)


async def stoppable(lab: Lab, session_id: str) -> Session:
    """The session of that id. Raises ``SessionUnknown`` and ``SessionNotRunning``."""
    known = await _session(lab, session_id)
    commands.stop_session(known, session_id, lab.now())
    assert known is not None
    return known


async def ask_to_stop(lab: Lab, known: Session, reason: str) -> None:
    """Tells its runner that ``known``, which runs, has to stop; without a runner that is its end."""
    if known.runner is None:
        await _end(lab, known, reason)
        return
    event = commands.stop_session(known, known.session_id, lab.now(), reason=reason)
    if event is not None:
        await lab.write(event)


async def stopped(lab: Lab, known: Session, until: float) -> Session:
    """The session as it is when it has ended, or at ``until``; it is closed when its runner is gone. One that was deleted has stopped."""
    session_id = known.session_id

    async def look() -> Session | None:
        return await _session(lab, session_id)

    async def close(gone: str) -> None:
        await close_session(lab, session_id, gone)

    with lab.endings.watched(f"session {session_id}") as ended:
        found = await _until_over(lab, look, ended, close, until)
    return found if found is not None else session.replace(known, status=session.Status.STOPPED)


async def close_session(lab: Lab, session_id: str, gone: str) -> bool:
    """Ends a session that the runner ``gone`` left running, unless another one took it over; whether it was we who did.

    Who else runs this service may close it at the same time: the log takes one end.
    """
    made = await lab.log.decide(
        session.OF_ITS_LIFE, None, session.evolve, lambda state: commands.close_session(state, gone, lab.now()),
        deadline_s=WRITE_DEADLINE_S, session_id=session_id,
    )  # fmt: skip
    await lab.shown(made.sequence)
    return made.event is not None


async def _session(lab: Lab, session_id: str) -> Session | None:
    return await lab.read(lambda db: queries.session(db, session_id))


async def _end(lab: Lab, known: Session, reason: str) -> None:
    """A runner may take it in this very moment, its client end it, somebody else stop it: one of them has to be first, and alone."""
    session_id = known.session_id

    def stop(state: Session | None) -> Event | None:
        if state is None or not state.is_running:
            return None
        return commands.stop_session(state, session_id, lab.now(), reason=reason)

    deadline_s = WRITE_DEADLINE_S if known.is_queued else _DECIDE_S
    try:
        made = await lab.log.decide(
            session.OF_ITS_LIFE, None, session.evolve, stop, deadline_s=deadline_s, session_id=session_id
        )
    except (Contended, LogUnavailable):
        if known.is_queued:
            raise
    else:
        await lab.shown(made.sequence)
        if made.state is not None:
            return
        if await _session(lab, session_id) is None:
            raise errors.SessionUnknown(session_id)
    # Its client talks all the time, or has never said that it began: then it is said without a condition, and the first end counts.
    await lab.write(SessionStopped(timestamp=lab.now(), session_id=session_id, reason=reason))


# Tasks


async def cancel_task(lab: Lab, task_id: str) -> Task:
    """Cancels a task, and returns it as it is when it has ended or its runner took too long to say so.

    Raises ``TaskUnknown`` and ``TaskNotRunning``.
    """

    async def look() -> Task | None:
        return await lab.read(lambda db: queries.life_of_task(db, task_id))

    async def close(gone: str) -> None:
        await close_task(lab, task_id, gone)

    def cancel(known: Task | None) -> Event | None:
        return commands.cancel_task(known, task_id, lab.now())

    known = await look()
    event = cancel(known)
    assert known is not None
    with lab.endings.watched(f"task {task_id}") as ended:
        until = answer_until()
        if known.runner is None:
            made = await lab.log.decide(
                task.OF_ITS_LIFE, None, task.evolve, cancel, deadline_s=WRITE_DEADLINE_S, task_id=task_id
            )
            await lab.shown(made.sequence)
        elif event is not None:
            await lab.write(event)
        return await _until_over(lab, look, ended, close, until) or known


async def close_task(lab: Lab, task_id: str, gone: str) -> bool:
    """Ends a task that the runner ``gone`` left running, unless another one took it over, and gives back what it had; as ``close_session``."""
    made = await lab.log.decide(
        task.OF_ITS_LIFE, None, task.evolve, lambda state: commands.close_task(state, task_id, gone, lab.now()),
        deadline_s=WRITE_DEADLINE_S, task_id=task_id,
    )  # fmt: skip
    await lab.shown(made.sequence)
    if made.state is not None and not made.state.is_running:
        await _freed(lab, task_id)
    return made.event is not None


async def _freed(lab: Lab, task_id: str) -> None:
    """What a runner that did not live to see the end of its task has left: leases, and flash jobs that nobody waits for."""
    leases, jobs = await lab.read(lambda db: (queries.open_leases_of(db, task_id), queries.active_jobs(db)))
    left = [(one["host"], one["job_id"]) for one in jobs if one["task_id"] == task_id and not one["outside"]]
    for event in commands.cancel_jobs(left, lab.now()):
        await lab.write(event)
    for one in leases:
        await leasing.ended(lab, one["lease_id"], commands.ITS_END)


async def _until_over(
    lab: Lab, look: Callable[[], Awaitable[Life | None]], ended: asyncio.Event, close: Close, until: float
) -> Life | None:
    loop = asyncio.get_running_loop()
    while True:
        ended.clear()  # before the look: one that ended and was resumed in the meantime may end again
        known = await look()
        if known is None or not known.is_running:
            return known
        if known.runner is not None and await lab.present.is_gone(AGENT, known.runner):
            await close(known.runner)
            return await look()
        left_s = until - loop.time()
        if left_s <= 0:
            return known
        try:
            async with asyncio.timeout(min(_LOOK_EVERY_S, left_s)):
                await ended.wait()
        except TimeoutError:
            continue
