"""The runner carries the trace of a request into everything it writes about it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from benchwire.events import tracing
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.session import SessionRequested
from benchwire.events.task import NodeSpec, TaskRequested
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.messages import traces
from benchwire.events.testing.samples import AT

CARRIER = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
NODES = [NodeSpec(node_id="n-1", board="stm32f405", description="blink")]
SESSION = SessionRequested(timestamp=AT, session_id="s-1", session_name="s-1", prompt="hello")
UNTRACED = SessionRequested(timestamp=AT, session_id="s-2", session_name="s-2", prompt="hello")
TASK = TaskRequested(timestamp=AT, task_id="t-1", kind="firmware", nodes=NODES)


async def test_everything_about_a_session_and_a_task_is_part_of_the_trace_that_asked_for_it(
    agent: Callable[..., AbstractAsyncContextManager[Any]], bus: Bus, log: Log
) -> None:
    wanted: list[Event] = [SESSION, TASK]
    with tracing.within(CARRIER):
        for one in wanted:
            await log.append(one)
    await log.append(UNTRACED)
    of_work = ("bench.session.s-1.*", "bench.task.t-1.*", "bench.session.s-2.*")

    async def over() -> bool:
        return all(["failed" in await traces(bus, one) for one in of_work])

    async with agent():  # without a model all of them end at once
        await eventually(over, within_s=30, what="all to end")
    session, task, untraced = [await traces(bus, one) for one in of_work]
    assert {"requested", "claimed", "started", "failed"} <= set(session) & set(untraced)
    assert {"requested", "claimed", "planned", "failed"} <= set(task)
    assert set(session.values()) | set(task.values()) == {CARRIER["traceparent"]}
    assert set(untraced.values()) == {None}
