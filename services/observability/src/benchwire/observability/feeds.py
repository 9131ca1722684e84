"""From the log and the samples to the frames that WebSockets get.

A frame about a fact is made from the rows, after the commit that made them, so that whatever a client sees it can fetch. One task makes
all frames, in the order of the log.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence

import msgspec
from nats.aio.msg import Msg
from sqlite_utils import Database

from benchwire.events import codec
from benchwire.events.catalog import filter_of
from benchwire.events.flash import (
    FlashCancelled,
    FlashCompleted,
    FlashFailed,
    FlashReported,
    FlashStarted,
)
from benchwire.events.live import FlashProgress, SerialLine, SessionDelta
from benchwire.events.log import Recorded
from benchwire.events.session import SessionDeleted
from benchwire.observability import queries
from benchwire.observability.lab import Lab
from benchwire.observability.projection import flash as flash_rows
from benchwire.observability.projection import sessions as session_rows
from benchwire.observability.projection import tasks as task_rows
from benchwire.observability.wire import flash as flash_wire
from benchwire.observability.wire import serial as serial_wire
from benchwire.observability.wire import sessions as session_wire
from benchwire.observability.wire import stream as stream_wire
from benchwire.observability.wire import tasks as task_wire

log = logging.getLogger(__name__)

SESSIONS = "sessions"
FLASH = "flash"
SERIAL = "serial"

_MOST_EARLY = 256  # late samples of jobs that are over end up there too
_MOST_WAITING = 20_000  # events; who comes again has them replayed


def of_session(session_id: str) -> str:
    """The topic of one session."""
    return f"session {session_id}"


def with_deltas(session_id: str) -> str:
    """The topic of one session together with the text of its model as that is spoken."""
    return f"deltas {session_id}"


def of_stream(session_id: str) -> str:
    """The topic of one session, told as Server-Sent Events."""
    return f"stream {session_id}"


def of_task(task_id: str) -> str:
    """The topic of one task."""
    return f"task {task_id}"


def of_job(job_id: str) -> str:
    """The topic of one flash job."""
    return f"flash {job_id}"


def of_device(host: str, device: str) -> str:
    """The topic of what one board prints."""
    return f"serial {host}/{device}"


class Job(msgspec.Struct):
    """What is known of a flash job that has not ended: how far its ``attempt`` was seen to be, the frame that said so, and when that was."""

    total_bytes: int
    attempt: int
    heard_at: float
    percent: float = 0.0
    progress: str | None = None


class Frames(msgspec.Struct, frozen=True):
    """What the rows say about a batch: what was said, which sessions changed, how many nodes of a task passed."""

    shown: dict[int, queries.Shown]
    sessions: dict[str, queries.Changed]
    succeeded: dict[str, int]


class Feeds:
    """Makes frames of what happens, and hands them to the feed."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._batches: asyncio.Queue[Sequence[Recorded]] = asyncio.Queue()
        self._waiting = 0  # events in these batches
        self._jobs: dict[str, Job] = {}
        self._early: dict[str, FlashProgress] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Follows facts and samples for the time of the context; the projection runs already."""
        self._lab.projection.on_commit(self._hear)  # not sooner: nobody listens while the rows are built anew
        for job in await self._lab.read(queries.active_jobs):
            if job["started_at"] is not None:
                self._begin(job["job_id"], job["total_bytes"], job["attempt"])
        subjects = (
            (filter_of(FlashProgress), self._sample),
            (filter_of(SerialLine), self._line),
            (filter_of(SessionDelta), self._delta),
        )
        taken = [await self._lab.bus.nc.subscribe(subject, cb=told) for subject, told in subjects]
        async with asyncio.TaskGroup() as tasks:
            pumping = tasks.create_task(self._pump())
            try:
                yield
            finally:
                pumping.cancel()
                for one in taken:
                    if not self._lab.bus.nc.is_closed:
                        await one.unsubscribe()

    def progress_of(self, job_id: str) -> str | None:
        """The newest frame about the progress of a job that runs."""
        job = self._jobs.get(job_id)
        return None if job is None else job.progress

    def silent_for(self, job_id: str) -> float:
        """For how many seconds nothing was heard of a job that runs; 0 for one that does not."""
        job = self._jobs.get(job_id)
        return 0.0 if job is None else asyncio.get_running_loop().time() - job.heard_at

    def _begin(self, job_id: str, total_bytes: int, attempt: int) -> None:
        self._jobs[job_id] = Job(total_bytes, attempt, asyncio.get_running_loop().time())
        if (early := self._early.pop(job_id, None)) is not None:
            self._progress(early)

    def _end(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._early.pop(job_id, None)

    def _hear(self, batch: Sequence[Recorded]) -> None:
        """Commits are not held up by frames. When these fall far behind, everybody is sent away: without listeners there is little to make."""
        self._batches.put_nowait(batch)
        self._waiting += len(batch)
        if self._waiting > _MOST_WAITING and self._lab.feed.clients:
            if self._waiting - len(batch) <= _MOST_WAITING:
                log.warning("frames are %d events behind: all readers are told to come again", self._waiting)
            self._lab.feed.give_up()

    async def _pump(self) -> None:
        while True:
            batch = await self._batches.get()
            self._waiting -= len(batch)
            try:
                await self._tell(batch)
            except Exception:
                log.exception("no frames for %d to %d", batch[0].sequence, batch[-1].sequence)

    async def _tell(self, batch: Sequence[Recorded]) -> None:
        said = None
        if self._lab.feed.clients:
            said = await self._lab.projection.read_again(lambda db: self._rows(db, batch), batch)
        for one in batch:
            if said is not None and not isinstance(one.event, session_rows.EVENTS):
                self._lab.feed.publish(SESSIONS, session_wire.fact_frame(one).text, one.sequence)
            if isinstance(one.event, flash_rows.EVENTS):
                self._flash(one)
            elif said is not None and isinstance(one.event, session_rows.EVENTS):
                self._session(one, said)
            elif said is not None and isinstance(one.event, task_rows.EVENTS):
                self._task(one, said)

    def _rows(self, db: Database, batch: Sequence[Recorded]) -> Frames:
        sessions = {one.event.session_id for one in batch if isinstance(one.event, session_rows.EVENTS)}  # type: ignore[attr-defined]
        tasks = {one.event.task_id for one in batch if isinstance(one.event, task_rows.EVENTS)}  # type: ignore[attr-defined]
        shown = queries.events_between(db, batch[0].sequence, batch[-1].sequence) if sessions else []
        return Frames(
            shown={one.sequence: one for one in shown},
            sessions=queries.some_sessions(db, sessions),
            succeeded={
                task_id: queries.succeeded(db, task_id) for task_id in tasks if self._lab.feed.has(of_task(task_id))
            },
        )

    def _session(self, one: Recorded, said: Frames) -> None:
        session_id: str = one.event.session_id  # type: ignore[attr-defined]
        frames = _frames_of(one, session_id, said)
        for frame in frames:
            self._lab.feed.publish(SESSIONS, frame.text, frame.sequence)
            self._lab.feed.publish(of_session(session_id), frame.text, frame.sequence)
            self._lab.feed.publish(with_deltas(session_id), frame.text, frame.sequence)
        if self._lab.feed.has(of_stream(session_id)):
            for text in stream_wire.events(frames):
                is_last = isinstance(one.event, SessionDeleted)
                self._lab.feed.publish(of_stream(session_id), text, one.sequence, last=is_last)

    def _task(self, one: Recorded, said: Frames) -> None:
        task_id: str = one.event.task_id  # type: ignore[attr-defined]
        topic = of_task(task_id)
        if self._lab.feed.has(topic):
            for frame in task_wire.frames(one.event, one.sequence, succeeded=said.succeeded.get(task_id, 0)):
                self._lab.feed.publish(topic, frame, one.sequence)

    def _flash(self, one: Recorded) -> None:
        event = one.event
        assert isinstance(event, flash_rows.EVENTS)
        frame = flash_wire.fact_frame(event)  # type: ignore[arg-type]
        job_id: str = event.job_id  # type: ignore[attr-defined]
        if frame is not None:
            self._publish_flash(job_id, frame, one.sequence)
        if (job := self._jobs.get(job_id)) is not None:
            job.heard_at = asyncio.get_running_loop().time()
        match event:
            case FlashStarted():
                self._begin(job_id, event.total_bytes, event.attempt)
            case FlashReported(status="started") if job is None:
                self._begin(job_id, event.total_bytes or 0, 1)
            case FlashReported(status="completed" | "failed" | "cancelled"):
                self._end(job_id)
            case FlashCompleted() | FlashFailed() | FlashCancelled():
                self._end(job_id)

    def _publish_flash(self, job_id: str, frame: str, sequence: int | None) -> None:
        self._lab.feed.publish(FLASH, frame, sequence)
        self._lab.feed.publish(of_job(job_id), frame, sequence)

    async def _sample(self, message: Msg) -> None:
        try:
            sample = codec.decode(message.data, message.headers, message.subject)
        except codec.Malformed as error:
            log.warning("a sample on %s cannot be read: %s", message.subject, error)
            return
        if isinstance(sample, FlashProgress):
            self._progress(sample)
        elif isinstance(sample, SerialLine):
            for topic in (SERIAL, of_device(sample.host, sample.device)):
                if self._lab.feed.has(topic):
                    self._lab.feed.publish(topic, serial_wire.serial_frame(sample))
        elif isinstance(sample, SessionDelta):
            self._lab.feed.publish(with_deltas(sample.session_id), session_wire.delta_frame(sample))

    async def _line(self, message: Msg) -> None:
        """Lines may come by the thousand, so one that nobody wants is not even decoded."""
        host, device = message.subject.split(".")[2:4]
        if self._lab.feed.has(SERIAL) or self._lab.feed.has(of_device(host, device)):
            await self._sample(message)

    async def _delta(self, message: Msg) -> None:
        """The same with what models say."""
        if self._lab.feed.has(with_deltas(message.subject.split(".")[2])):
            await self._sample(message)

    def _progress(self, sample: FlashProgress) -> None:
        """Clients drop progress of a job that they do not know, and samples are quicker than commits: the newest waits for the start.

        What comes late of an attempt that broke is passed over, and what is told of one never goes back.
        """
        job = self._jobs.get(sample.job_id)
        if job is None or sample.attempt > job.attempt:
            if len(self._early) >= _MOST_EARLY:
                self._early.pop(next(iter(self._early)))
            self._early[sample.job_id] = sample
            return
        if sample.attempt < job.attempt:
            return
        job.heard_at = asyncio.get_running_loop().time()
        job.percent = max(job.percent, flash_wire.percent(sample, job.total_bytes))
        job.progress = flash_wire.progress_frame(sample, job.total_bytes, job.percent)
        self._publish_flash(sample.job_id, job.progress, None)


def _frames_of(one: Recorded, session_id: str, said: Frames) -> list[session_wire.Frame]:
    changed = said.sessions.get(session_id)
    if isinstance(one.event, SessionDeleted):
        is_gone = changed is None or changed.created_sequence > one.sequence
        return [session_wire.deleted_frame(session_id, one.sequence)] if is_gone else []
    frames = []
    if changed is not None and changed.created_sequence == one.sequence:
        frames.append(session_wire.created_frame(changed.session, one.sequence))
    if (shown := said.shown.get(one.sequence)) is not None:
        frames.append(session_wire.event_frame(shown))
    if changed is not None and changed.created_sequence < one.sequence:
        is_news = changed.changed_sequence == one.sequence or not isinstance(one.event, session_rows.QUIET)
        frames += [session_wire.updated_frame(changed.session, one.sequence)] if is_news else []
    return frames
