"""Ending what runs: ask its owner, wait a while for the owner's answer, and close what an owner left behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from benchwire.events.catalog import AGENT
from benchwire.events.event import Event
from benchwire.observability import commands, queries, session, task
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.session import Session
from benchwire.observability.task import Task

ANSWER_WITHIN_S = 4.0
_LOOK_EVERY_S = 0.5

Life = TypeVar("Life", Session, Task)


async def stop_session(lab: Lab, session_id: str) -> Session:
    """Stops a session, and returns it as it is when it has ended or its runner took too long to say so.

    Raises ``SessionUnknown`` and ``SessionNotRunning``.
    """

    async def look() -> Session | None:
        return await lab.read(lambda db: queries.session(db, session_id))

    def stop(known: Session | None) -> Event | None:
        return commands.stop_session(known, session_id, lab.now())

    async def exclusively() -> int:
        made = await lab.log.decide(
            session.OF_ITS_LIFE, None, session.evolve, stop, deadline_s=WRITE_DEADLINE_S, session_id=session_id
        )
        return made.sequence

    async def close() -> None:
        made = await lab.log.decide(
            session.OF_ITS_LIFE, None, session.evolve, lambda state: commands.close_session(state, lab.now()),
            deadline_s=WRITE_DEADLINE_S, session_id=session_id,
        )  # fmt: skip
        await lab.shown(made.sequence)

    known = await look()
    event = stop(known)
    assert known is not None
    with lab.endings.watched(f"session {session_id}") as ended:
        if known.is_queued:  # a runner may take it in this very moment; one of the two has to be first
            await lab.shown(await exclusively())
        elif event is not None:
            await lab.write(event)
        return await _until_over(lab, look, ended, close) or known


async def cancel_task(lab: Lab, task_id: str) -> Task:
    """Cancels a task, and returns it as it is when it has ended or its runner took too long to say so.

    Raises ``TaskUnknown`` and ``TaskNotRunning``.
    """

    async def look() -> Task | None:
        return await lab.read(lambda db: queries.life_of_task(db, task_id))

    async def close() -> None:
        made = await lab.log.decide(
            task.OF_ITS_LIFE, None, task.evolve, lambda state: commands.close_task(state, task_id, lab.now()),
            deadline_s=WRITE_DEADLINE_S, task_id=task_id,
        )  # fmt: skip
        await lab.shown(made.sequence)
        await _freed(lab, task_id)

    def cancel(known: Task | None) -> Event | None:
        return commands.cancel_task(known, task_id, lab.now())

    known = await look()
    event = cancel(known)
    assert known is not None
    with lab.endings.watched(f"task {task_id}") as ended:
        if known.runner is None:
            made = await lab.log.decide(
                task.OF_ITS_LIFE, None, task.evolve, cancel, deadline_s=WRITE_DEADLINE_S, task_id=task_id
            )
            await lab.shown(made.sequence)
        elif event is not None:
            await lab.write(event)
        return await _until_over(lab, look, ended, close) or known


async def _freed(lab: Lab, task_id: str) -> None:
    """What a runner that did not live to see the end of its task has left: leases, and flash jobs that nobody waits for."""
    leases, jobs = await lab.read(lambda db: (queries.leases_of(db, task_id), queries.active_jobs(db)))
    left = commands.let_go(
        [(one["host"], one["device"], one["lease_id"]) for one in leases],
        [(one["host"], one["job_id"]) for one in jobs if one["task_id"] == task_id],
        lab.now(),
    )
    for event in left:
        await lab.write(event)


async def _until_over(
    lab: Lab,
    look: Callable[[], Awaitable[Life | None]],
    ended: asyncio.Event,
    close: Callable[[], Awaitable[None]],
) -> Life | None:
    loop = asyncio.get_running_loop()
    end = loop.time() + ANSWER_WITHIN_S
    while True:
        known = await look()
        if known is None or not known.is_running:
            return known
        if known.runner is not None and await lab.present.is_gone(AGENT, known.runner):
            await close()
            return await look()
        if loop.time() >= end:
            return known
        try:
            await asyncio.wait_for(ended.wait(), _LOOK_EVERY_S)
        except TimeoutError:
            continue
