"""WebSockets: what happens, as it happens."""

from collections.abc import Awaitable, Callable

import msgspec
from litestar import websocket
from sqlite_utils import Database

from benchwire.events import codec
from benchwire.events.event import IllegalToken, token
from benchwire.observability import errors, queries
from benchwire.observability.boards.reports import OUTSIDE, Reporter, Reports
from benchwire.observability.feeds import FLASH, SESSIONS, Feeds, of_job, of_session, of_task, with_deltas
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row
from benchwire.observability.reading.replay import replayed
from benchwire.observability.routes.params import Id, TheFeeds, TheLab, TheReports
from benchwire.observability.routes.tasks import guide
from benchwire.observability.wire import flash as flash_wire
from benchwire.observability.wire import frames
from benchwire.observability.wire import tasks as task_wire
from benchwire.observability.wire.requests import Guide
from benchwire.observability.wire.stream import place_of
from benchwire.web.feed import Client, Socket, last_words
from benchwire.web.scopes import lacking, may
from benchwire.web.tokens import Scope

NOT_FOUND = 4404

First = tuple[int, list[str]]


# Sessions


@websocket("/ws")
async def sessions(socket: Socket, lab: TheLab) -> None:
    """Sessions and their events, and the facts of the whole lab; ``?since=`` replays what was missed, ``?session_id=`` narrows to one.

    With ``deltas=true`` that one's text also comes as its model speaks it.
    """
    session_id = socket.query_params.get("session_id") or None
    since = place_of(socket.query_params.get("since") or "")

    async def greet(client: Client) -> None:
        replay = await replayed(lab, since, session_id)
        client.open([frame.text for frame in replay.frames], after=replay.sequence)

    topic = _topic(session_id, deltas=socket.query_params.get("deltas") == "true")
    await lab.feed.attend(socket, topic, greet)


def _topic(session_id: str | None, *, deltas: bool) -> str:
    if session_id is None:
        return SESSIONS
    return with_deltas(session_id) if deltas else of_session(session_id)


def _greeting(lab: Lab, first: Callable[[Database], First]) -> Callable[[Client], Awaitable[None]]:
    async def greet(client: Client) -> None:
        sequence, frames = await lab.read(first)
        client.open(frames, after=sequence)

    return greet


# Tasks


class _Sent(msgspec.Struct):
    type: str
    guidance: str | None = None
    node_id: str | None = None


@websocket("/ws/{task_id:str}")
async def task(socket: Socket, lab: TheLab, task_id: Id) -> None:
    """One task, from its start, whenever the client comes. With the scope ``control`` it may send ``{"type": "INTERVENTION", "guidance": …}``."""
    if not await _is_task(lab, task_id):
        said = task_wire.error_frame(task_id, f"there is no task {task_id[:128]!r}")
        await last_words(socket, said, code=NOT_FOUND, reason="there is no such task")
        return

    def first(db: Database) -> First:
        sequence, succeeded = queries.applied(db), queries.succeeded(db, task_id)
        told: list[str] = []
        for at, body in queries.task_events(db, task_id):
            event = codec.decode(body.encode())
            if not isinstance(event, codec.Unknown):
                told += task_wire.frames(event, at, succeeded=succeeded)
        return sequence, told

    async def on_text(text: str) -> str | None:
        return await _intervened(lab, task_id, text, socket)

    await lab.feed.attend(socket, of_task(task_id), _greeting(lab, first), on_text)


async def _is_task(lab: Lab, task_id: str) -> bool:
    try:
        token(task_id)
    except IllegalToken:
        return False
    return await lab.read(lambda db: queries.life_of_task(db, task_id)) is not None


async def _intervened(lab: Lab, task_id: str, text: str, socket: Socket) -> str | None:
    """Does what a frame says; returns a frame that says why not, if so."""
    try:
        sent = msgspec.json.decode(text, type=_Sent)
        if sent.type != "INTERVENTION":
            return None
        if not may(socket, Scope.CONTROL):
            return task_wire.error_frame(task_id, lacking(Scope.CONTROL))
        asked = msgspec.convert({"guidance": sent.guidance, "node_id": sent.node_id}, Guide)
        await guide(lab, task_id, asked)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        detail = 'a frame must be like {"type": "INTERVENTION", "guidance": "use the second timer"}'
        return task_wire.error_frame(task_id, detail)
    except errors.SAYABLE as error:
        return task_wire.error_frame(task_id, str(error))
    return None


# Boards


async def _flash(socket: Socket, lab: Lab, feeds: Feeds, reports: Reports, job_id: str | None) -> None:
    def standing(db: Database) -> tuple[int, list[Row]]:
        jobs = [one for one in queries.active_jobs(db) if job_id in (None, one["job_id"])]
        return queries.applied(db), jobs

    async def greet(client: Client) -> None:
        sequence, jobs = await lab.read(standing)
        client.open([frame for job in jobs for frame in _standing(feeds, job)], after=sequence)

    reporter = Reporter(socket.query_params.get("host") or OUTSIDE)

    async def on_text(text: str) -> str | None:
        refused = await reports.take(text, reporter) if may(socket, Scope.CONTROL) else lacking(Scope.CONTROL)
        return None if refused is None else frames.refused(refused, lab.now())

    topic = FLASH if job_id is None else of_job(job_id)
    await lab.feed.attend(socket, topic, greet, on_text, pong=lambda: frames.pong(lab.now()))


def _standing(feeds: Feeds, job: Row) -> list[str]:
    frames = flash_wire.standing_frames(job)
    progress = feeds.progress_of(job["job_id"])
    if progress is not None:
        frames.append(progress)
    if job["status"] == "paused":
        frames.append(flash_wire.paused_frame(job))
    return frames


@websocket(["/flash-progress", "/ws/flash-progress"])
async def flash_progress(socket: Socket, lab: TheLab, feeds: TheFeeds, reports: TheReports) -> None:
    """Every flash job; first the state of those that run. With the scope ``control`` a flasher outside of the lab may report here."""
    await _flash(socket, lab, feeds, reports, None)


@websocket(["/flash-progress/{job_id:str}", "/ws/flash-progress/{job_id:str}"])
async def flash_progress_of(socket: Socket, lab: TheLab, feeds: TheFeeds, reports: TheReports, job_id: Id) -> None:
    """One flash job."""
    await _flash(socket, lab, feeds, reports, job_id)


ROUTES = [sessions, task, flash_progress, flash_progress_of]
