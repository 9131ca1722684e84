"""WebSockets: what happens, as it happens."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec
from litestar import websocket
from sqlite_utils import Database

from benchwire.events import codec
from benchwire.events.catalog import CATALOG
from benchwire.events.event import IllegalToken, token
from benchwire.events.log import EventTooLarge, LogUnavailable, Recorded
from benchwire.events.projection import ProjectionBehind
from benchwire.observability import errors, queries
from benchwire.observability.feeds import FLASH, SERIAL, SESSIONS, Feeds, of_job, of_session, of_task
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row
from benchwire.observability.routes.params import Id, TheFeeds, TheLab
from benchwire.observability.routes.tasks import guide
from benchwire.observability.wire import flash as flash_wire
from benchwire.observability.wire import sessions as session_wire
from benchwire.observability.wire import tasks as task_wire
from benchwire.observability.wire.requests import Guide
from benchwire.web.feed import Client, Socket

NOT_FOUND = 4404
_MOST_REPLAYED = 20_000
_OF_NO_SESSION = [
    f"{root}.>"
    for root in sorted({entry.subject.rsplit(".", entry.subject.count(".") - 1)[0] for entry in CATALOG})
    if root.startswith("bench.") and root != "bench.session"
]

_SAYABLE: tuple[type[Exception], ...] = (*errors.STATUS, LogUnavailable, EventTooLarge, ProjectionBehind, IllegalToken)

First = tuple[int, list[str]]


# Sessions


@websocket("/ws")
async def sessions(socket: Socket, lab: TheLab) -> None:
    """Sessions and their events, and the facts of the whole lab; ``?since=`` replays what was missed, ``?session_id=`` narrows to one."""
    session_id = socket.query_params.get("session_id") or None
    since = _number(socket.query_params.get("since"))

    def first(db: Database) -> Replay:
        missed = None if since is None else _missed(db, since, session_id)
        return missed if missed is not None else _init(db, session_id)

    async def greet(client: Client) -> None:
        replay = await lab.read(first)
        if replay.since is not None and session_id is None:
            facts = await _facts_between(lab, replay.since, replay.sequence)
            replay = (await lab.read(lambda db: _init(db, None))) if facts is None else replay.with_facts(facts)
        client.open(replay.frames, after=replay.sequence)

    topic = SESSIONS if session_id is None else of_session(session_id)
    await lab.feed.attend(socket, topic, greet)


class Replay(msgspec.Struct, frozen=True):
    """The first frames, which tell everything up to ``sequence``: ``told`` in the order of the log, ``before`` and ``behind`` around it."""

    sequence: int
    since: int | None = None
    before: list[str] = []
    told: list[tuple[int, str]] = []
    behind: list[str] = []

    @property
    def frames(self) -> list[str]:
        """All of them, as they are sent."""
        return [*self.before, *(frame for _, frame in self.told), *self.behind]

    def with_facts(self, facts: Sequence[Recorded]) -> "Replay":
        """The same, with facts that belong to no session."""
        more = [(one.sequence, session_wire.fact_frame(one)) for one in facts]
        return msgspec.structs.replace(self, told=sorted([*self.told, *more]))


async def _facts_between(lab: Lab, since: int, until: int) -> list[Recorded] | None:
    """The facts after ``since`` that belong to no session; None when they are too many to be replayed."""
    facts: list[Recorded] = []
    async with aclosing(lab.log.read(_OF_NO_SESSION, after=since)) as later:
        async for one in later:
            if one.sequence > until:
                break
            facts.append(one)
            if len(facts) > _MOST_REPLAYED:
                return None
    return facts


def _greeting(lab: Lab, first: Callable[[Database], First]) -> Callable[[Client], Awaitable[None]]:
    async def greet(client: Client) -> None:
        sequence, frames = await lab.read(first)
        client.open(frames, after=sequence)

    return greet


def _init(db: Database, session_id: str | None) -> Replay:
    sequence = queries.applied(db)
    if session_id is None:
        listed = queries.sessions(db).sessions
    else:
        one = queries.session(db, session_id)
        listed = [] if one is None else [one]
    return Replay(sequence, before=[session_wire.init_frame(listed, sequence)])


def _missed(db: Database, since: int, session_id: str | None) -> Replay | None:
    """What happened after ``since``; None when it is so much, or so strange, that starting over is better."""
    sequence = queries.applied(db)
    if since > sequence:
        return None
    shown = queries.events_between(db, since + 1, sequence, session_id=session_id, limit=_MOST_REPLAYED + 1)
    if len(shown) > _MOST_REPLAYED:
        return None
    changed = [
        one for one in queries.changed_since(db, since) if session_id is None or one.session.session_id == session_id
    ]
    gone = [one for one in queries.deleted_since(db, since) if session_id in (None, one)]
    new = [one for one in changed if one.created_sequence > since]
    old = [one for one in changed if one.created_sequence <= since]
    return Replay(
        sequence,
        since,
        before=[
            *(session_wire.deleted_frame(one, sequence) for one in gone),
            *(session_wire.created_frame(one.session, one.created_sequence) for one in new),
        ],
        told=[(one.sequence, session_wire.event_frame(one)) for one in shown],
        behind=[session_wire.updated_frame(one.session, sequence) for one in old],
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 19 else None


# Tasks


class _Sent(msgspec.Struct):
    type: str
    guidance: str | None = None
    node_id: str | None = None


@websocket("/ws/{task_id:str}")
async def task(socket: Socket, lab: TheLab, task_id: Id) -> None:
    """One task, from its start, whenever the client comes. The client may send ``{"type": "INTERVENTION", "guidance": …}``."""
    if not await _is_task(lab, task_id):
        await socket.accept()
        await socket.send_text(task_wire.error_frame(task_id, f"there is no task {task_id[:128]!r}"))
        await socket.close(code=NOT_FOUND, reason="there is no such task")
        return

    def first(db: Database) -> First:
        sequence, succeeded = queries.applied(db), queries.succeeded(db, task_id)
        told: list[str] = []
        for at, body in queries.task_events(db, task_id):
            event = codec.decode(body.encode())
            if not isinstance(event, codec.Unknown):
                told += task_wire.frames(event, at, succeeded=succeeded)
        return sequence, told

    async def on_text(text: str) -> None:
        await _intervened(lab, task_id, text, socket)

    await lab.feed.attend(socket, of_task(task_id), _greeting(lab, first), on_text)


async def _is_task(lab: Lab, task_id: str) -> bool:
    try:
        token(task_id)
    except IllegalToken:
        return False
    return await lab.read(lambda db: queries.life_of_task(db, task_id)) is not None


async def _intervened(lab: Lab, task_id: str, text: str, socket: Socket) -> None:
    try:
        sent = msgspec.json.decode(text, type=_Sent)
        if sent.type != "INTERVENTION":
            return
        asked = msgspec.convert({"guidance": sent.guidance, "node_id": sent.node_id}, Guide)
        await guide(lab, task_id, asked)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        detail = 'a frame must be like {"type": "INTERVENTION", "guidance": "use the second timer"}'
        await socket.send_text(task_wire.error_frame(task_id, detail))
    except _SAYABLE as error:
        await socket.send_text(task_wire.error_frame(task_id, str(error)))


# Boards


async def _flash(socket: Socket, lab: Lab, feeds: Feeds, topic: str, job_id: str | None) -> None:
    def standing(db: Database) -> tuple[int, list[Row]]:
        jobs = [one for one in queries.active_jobs(db) if job_id in (None, one["job_id"])]
        return queries.applied(db), jobs

    async def greet(client: Client) -> None:
        sequence, jobs = await lab.read(standing)
        client.open([frame for job in jobs for frame in _standing(feeds, job)], after=sequence)

    async def on_text(_: str) -> None:
        detail = "reports of an outside flasher are not taken on this connection"
        await socket.send_text(flash_wire.refused_frame(detail, lab.now()))

    await lab.feed.attend(socket, topic, greet, on_text, pong=lambda: flash_wire.pong(lab.now()))


def _standing(feeds: Feeds, job: Row) -> list[str]:
    frames = flash_wire.standing_frames(job)
    progress = feeds.progress_of(job["job_id"])
    if progress is not None:
        frames.append(flash_wire.progress_frame(progress, job["total_bytes"]))
    if job["status"] == "paused":
        frames.append(flash_wire.paused_frame(job))
    return frames


@websocket(["/flash-progress", "/ws/flash-progress"])
async def flash_progress(socket: Socket, lab: TheLab, feeds: TheFeeds) -> None:
    """Every flash job; first the state of those that run."""
    await _flash(socket, lab, feeds, FLASH, None)


@websocket(["/flash-progress/{job_id:str}", "/ws/flash-progress/{job_id:str}"])
async def flash_progress_of(socket: Socket, lab: TheLab, feeds: TheFeeds, job_id: Id) -> None:
    """One flash job."""
    await _flash(socket, lab, feeds, of_job(job_id), job_id)


@websocket("/ws/serial")
async def serial(socket: Socket, lab: TheLab) -> None:
    """What boards print, from now on."""

    async def greet(client: Client) -> None:
        client.open()

    await lab.feed.attend(socket, SERIAL, greet)


ROUTES = [sessions, task, flash_progress, flash_progress_of, serial]
