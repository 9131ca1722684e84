"""Flashers outside of the lab: what they report of their jobs on a WebSocket becomes facts and samples, for everybody to see.

Such a job is known by what its flasher says and by nothing else. One of which nothing is heard any more is closed as failed, so that it is not
shown as running for ever.
"""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager

import msgspec

from benchwire.events.event import IllegalToken, token
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.projection import ProjectionBehind
from benchwire.observability import commands, queries
from benchwire.observability.feeds import Feeds
from benchwire.observability.lab import Lab
from benchwire.observability.looking import looked_after
from benchwire.observability.queries import Row
from benchwire.observability.wire.faces.reports import (
    Report,
    ReportCancelled,
    ReportCompleted,
    ReportFailed,
    ReportProgress,
    ReportStarted,
)

log = logging.getLogger(__name__)

OUTSIDE = "outside"
MOST_OPEN = 256  # every client that comes is told of each
_MOST_CHARS = 16_384
_PERIOD_S = 1.0
_MOST_FRAMES = 100  # of one socket in a period
_MOST_FACTS = 20
_SAMPLE_EVERY_S = 0.1
_LOOK_EVERY_S = 5.0

_read: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)
_LIKE = 'a report must be like {"type": "flash_started", "jobId": "job_1", "deviceId": "board-1", "totalBytes": 4096}'


class Refused(Exception):
    """The report is not taken; the sentence says why."""


class Reporter:
    """One socket on which somebody reports, in the name of ``host``."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.is_checked = False
        self._began = 0.0
        self._frames = 0
        self._facts = 0

    def counts(self, now: float, *, is_fact: bool) -> bool:
        """Whether one more is still within what is taken from one socket; the first that is not raises ``Refused``."""
        if now - self._began >= _PERIOD_S:
            self._began, self._frames, self._facts = now, 0, 0
        self._frames += not is_fact
        self._facts += is_fact
        most, count = (_MOST_FACTS, self._facts) if is_fact else (_MOST_FRAMES, self._frames)
        if count == most + 1:
            raise Refused(f"too many at once: {most} a second are taken, the others are passed over")
        return count <= most


class _Sampled(msgspec.Struct):
    """A job of which samples come: how many bytes it began with, and when the newest sample was taken."""

    job_bytes: int
    at: float = 0.0


class Reports:
    """Takes reports; ``silent_s`` is for how long nothing may be heard of a job."""

    def __init__(self, lab: Lab, feeds: Feeds, *, silent_s: float) -> None:
        self._lab = lab
        self._feeds = feeds
        self._silent_s = silent_s
        self._sampled: dict[tuple[str, str], _Sampled] = {}  # by the names of the flasher and the job

    async def take(self, text: str, reporter: Reporter) -> str | None:
        """Takes what came on a socket; returns the sentence when it is not taken."""
        now = asyncio.get_running_loop().time()
        try:
            if not reporter.counts(now, is_fact=False):
                return None
            said = _decoded(text)
            await self._check(said, reporter)
            if isinstance(said, ReportProgress):
                await self._sample(said, reporter, now)
            elif reporter.counts(now, is_fact=True):
                await self._fact(said, reporter)
        except (Refused, IllegalToken, EventTooLarge, LogUnavailable, ProjectionBehind) as error:
            return str(error)
        return None

    async def _check(self, said: Report, reporter: Reporter) -> None:
        token(said.job_id, "jobId")
        token(said.device_id, "deviceId")
        if reporter.is_checked:
            return
        token(reporter.host, "host")
        if await self._lab.read(lambda db: queries.is_host(db, reporter.host)):
            raise Refused(f"host: {reporter.host} is a host of this lab, and its own flash agent tells of its jobs")
        reporter.is_checked = True

    async def _sample(self, said: ReportProgress, reporter: Reporter, now: float) -> None:
        known = self._sampled.get((reporter.host, said.job_id))
        if known is None:
            job = await self._open_job(said.job_id, reporter)
            known = self._sampled[reporter.host, said.job_id] = _Sampled(job["total_bytes"])
        elif now - known.at < _SAMPLE_EVERY_S:
            return  # a newer one follows
        known.at = now
        sample = commands.sample(said, reporter.host, self._lab.now(), job_bytes=known.job_bytes)
        await self._lab.log.sample(sample)

    async def _fact(self, said: Report, reporter: Reporter) -> None:
        if not isinstance(said, ReportStarted):
            await self._open_job(said.job_id, reporter)
        elif not await self._is_new(said.job_id, reporter):
            return  # it came again after its connection broke
        if isinstance(said, ReportCompleted | ReportFailed | ReportCancelled):
            self._sampled.pop((reporter.host, said.job_id), None)
        await self._lab.write(commands.report(said, reporter.host, self._lab.now()))

    async def _is_new(self, job_id: str, reporter: Reporter) -> bool:
        row, count = await self._lab.read(lambda db: (queries.job(db, job_id), len(queries.open_reports(db))))
        if row is not None:
            _check_open(row, job_id, reporter)
            return False
        if count >= MOST_OPEN:
            raise Refused(f"{count} jobs of outside flashers are open, and no more are taken; say how they ended")
        return True

    async def _open_job(self, job_id: str, reporter: Reporter) -> Row:
        row = await self._lab.read(lambda db: queries.job(db, job_id))
        if row is None:
            raise Refused(f"nobody knows a job {job_id!r}: begin with flash_started")
        _check_open(row, job_id, reporter)
        return row

    def watched(self) -> AbstractAsyncContextManager[None]:
        """Closes jobs of which nothing is heard any more, for the time of the context."""
        return looked_after(self._close_silent, every_s=_LOOK_EVERY_S, what="jobs of outside flashers")

    async def _close_silent(self) -> None:
        rows = await self._lab.read(queries.open_reports)
        there = {(row["host"], row["job_id"]) for row in rows}
        self._sampled = {names: known for names, known in self._sampled.items() if names in there}
        for row in rows:
            if self._feeds.silent_for(row["job_id"]) >= self._silent_s:
                log.info("flash job %s of %s is closed: nothing is heard of it", row["job_id"], row["host"])
                await self._lab.write(commands.silent(row["host"], row["job_id"], row["device"], self._lab.now()))


def _decoded(text: str) -> Report:
    if len(text) > _MOST_CHARS:
        raise Refused(f"a report has {_MOST_CHARS} characters at most")
    try:
        return _read.decode(text)
    except msgspec.ValidationError as error:
        raise Refused(f"{error}; {_LIKE}") from None
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise Refused(_LIKE) from None


def _check_open(row: Row, job_id: str, reporter: Reporter) -> None:
    if not row["outside"]:
        raise Refused(f"{job_id!r} is a job of this lab; report yours under an id of its own")
    if row["host"] != reporter.host:
        raise Refused(f"job {job_id!r} is reported by {row['host']}")
    if row["ended_at"] is not None:
        raise Refused(f"job {job_id!r} is over, it is {row['status']}; begin another one under a new id")
