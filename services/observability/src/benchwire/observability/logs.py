"""The log of a task: lines made of its facts, and the lines its runner says beside them, merged by time."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime

import msgspec
from sqlite_utils import Database

from benchwire.events import codec
from benchwire.events.bus import LIVE, STREAM
from benchwire.events.catalog import aggregate_of, filter_of
from benchwire.events.event import Event
from benchwire.events.follow import Message, follow
from benchwire.events.live import TaskLog
from benchwire.events.task import TaskRequested
from benchwire.observability import queries, task
from benchwire.observability.lab import Lab
from benchwire.observability.wire.tasks import log_lines

_KEPT_WITHIN_S = 3.0
_AS_LONG_AS_IT_TAKES_S = 86_400.0
_MOST_AHEAD = 1000  # lines; a reader that takes nothing holds up its own followers


class Line(msgspec.Struct, frozen=True):
    """A line, and when it was said; ``last`` is after the end of the task."""

    at: datetime
    text: str
    last: bool = False


class _Past(msgspec.Struct, frozen=True):
    lines: list[Line]
    facts_after: int
    said_after: int


async def so_far(lab: Lab, task_id: str) -> list[Line]:
    """What was logged until now. Lines that a runner says are kept for an hour; facts are kept."""
    return (await _past(lab, task_id)).lines


async def lines(lab: Lab, task_id: str) -> AsyncGenerator[Line, None]:
    """What was logged, then what comes, until the task ends."""
    past = await _past(lab, task_id)
    for line in past.lines:
        yield line
    if any(line.last for line in past.lines):
        return
    coming: asyncio.Queue[Line] = asyncio.Queue(_MOST_AHEAD)
    followers = [
        asyncio.create_task(
            _follow(lab, aggregate_of(TaskRequested, task_id=task_id), STREAM, past.facts_after, coming)
        ),
        asyncio.create_task(_follow(lab, filter_of(TaskLog, task_id=task_id), LIVE, past.said_after, coming)),
    ]
    try:
        while True:
            line = await coming.get()
            yield line
            if line.last:
                return
    finally:
        for one in followers:
            one.cancel()
        await asyncio.gather(*followers, return_exceptions=True)


async def _past(lab: Lab, task_id: str) -> _Past:
    def facts(db: Database) -> tuple[int, list[tuple[int, str]]]:
        return queries.applied(db), queries.task_events(db, task_id)

    applied, rows = await lab.read(facts)
    told = [line for _, body in rows for line in _of_body(body.encode())]
    said, last = await _said(lab, task_id)
    return _Past(sorted([*told, *said], key=lambda line: line.at), applied, last)


async def _said(lab: Lab, task_id: str) -> tuple[list[Line], int]:
    """What the runner said within the last hour; nothing, when NATS does not answer."""
    found: list[Line] = []
    last = 0
    try:
        async with (
            asyncio.timeout(_KEPT_WITHIN_S),
            aclosing(follow(lab.bus, [filter_of(TaskLog, task_id=task_id)], stream=LIVE)) as batches,
        ):
            async for batch in batches:
                found += [line for message in batch.messages for line in _of(message)]
                last = batch.messages[-1].sequence if batch.messages else last
                if batch.pending == 0:
                    break
    except TimeoutError:
        return found, last
    return found, last


async def _follow(lab: Lab, filter_: str, stream: str, after: int, coming: asyncio.Queue[Line]) -> None:
    async with aclosing(follow(lab.bus, [filter_], after=after, stream=stream)) as batches:
        async for batch in batches:
            if stream == STREAM and batch.messages:  # what is shown can be fetched
                await lab.projection.wait_for(batch.messages[-1].sequence, timeout_s=_AS_LONG_AS_IT_TAKES_S)
            for line in _many(batch.messages):
                await coming.put(line)


def _many(messages: Sequence[Message]) -> Iterable[Line]:
    return (line for message in messages for line in _of(message))


def _of(message: Message) -> list[Line]:
    return _of_body(message.body, message.headers, message.subject)


def _of_body(body: bytes, carried: Mapping[str, str] | None = None, subject: str | None = None) -> list[Line]:
    try:
        event = codec.decode(body, carried, subject)
    except codec.Malformed:
        return []
    return of_event(event) if isinstance(event, Event) else []


def of_event(event: Event) -> list[Line]:
    """The lines that ``event`` is told in."""
    told = [Line(at=event.timestamp, text=text) for text in log_lines(event)]
    if told and isinstance(event, task.ENDS):
        told[-1] = msgspec.structs.replace(told[-1], last=True)
    return told
