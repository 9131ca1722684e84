"""An image onto a board: choose one, have it for ourselves, let its host flash it, and hear it print what it has to."""

import asyncio
import re
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime

from msgspec.structs import replace

from benchwire.agent.beside import beside
from benchwire.agent.claim import Claim
from benchwire.agent.errors import NotDeployed
from benchwire.agent.firmware.leasing import Leasing, Wanted
from benchwire.agent.lab import Lab
from benchwire.agent.queries import Job, Lease
from benchwire.agent.tools.assertions import Kind, judge
from benchwire.agent.work import Work
from benchwire.boards.profile import Profile
from benchwire.events import codec
from benchwire.events.bus import LIVE
from benchwire.events.catalog import filter_of
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashCancelRequested, FlashRequested
from benchwire.events.follow import Message, follow
from benchwire.events.lease import holder_of
from benchwire.events.live import SerialLine, TaskLog
from benchwire.events.task import Assertion, NodeDeployed, NodeDeploying, NodeSpec

LINES_SHOWN = 20
_OVER = ("completed", "failed", "cancelled")


class Deployment:
    """One image of one node on its way to a board; ``joined`` tells that the node was simulated with others."""

    def __init__(
        self, lab: Lab, claim: Claim, work: Work, *, task_id: str, node: NodeSpec, profile: Profile, image: Artifact,
        joined: bool,
    ) -> None:  # fmt: skip
        self._lab = lab
        self._claim = claim
        self._work = work
        self._task_id = task_id
        self._node = node
        self._profile = profile
        self._image = image
        self._wanted, self._shows = wanted(node, joined=joined)

    async def run(self, before: NodeDeploying | None) -> NodeDeployed:
        """The event that tells what the board printed, not yet written. ``before`` is the flash job that an earlier runner had requested.

        Raises ``NotDeployed``, ``ClaimLost`` and ``LogUnavailable``.
        """
        node = self._node
        leasing = Leasing(
            self._lab, self._claim, holder=holder_of(self._task_id, node.node_id), say=self._say,
            wanted=Wanted(self._profile.board, node.host, node.device, node.labels),
            for_s=self._lab.settings.flash_wait_s + self._lab.settings.line_wait_s + 5.0,
        )  # fmt: skip
        if before is not None and await self._goes_on(before):
            async with leasing.board_of((before.host, before.device), self._goes_on_elsewhere) as lease:
                # Its lines may have been printed while nobody listened: LIVE keeps the last hour.
                return await self._flashed(before, lease, heard_after=0)
        async with leasing.board(self._goes_on_elsewhere) as lease:
            heard_after = await self._lab.last_sample()
            deploying = NodeDeploying(
                timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, host=lease.host, device=lease.device,
                job_id=f"job_{uuid.uuid4().hex}",
            )  # fmt: skip
            await self._claim.append(deploying)
            return await self._flashed(deploying, lease, heard_after=heard_after)

    def _goes_on_elsewhere(self) -> bool:
        """Whether this runner comes to an orderly end: whoever goes on with the task takes over what it has."""
        return self._work.verdict is None and _cancelled()

    async def _goes_on(self, before: NodeDeploying) -> bool:
        job = await self._lab.job(before.job_id)
        return job is None or job.state in ("requested", "started", "completed")

    async def _flashed(self, deploying: NodeDeploying, lease: Lease | None, *, heard_after: int) -> NodeDeployed:
        lines: deque[str] = deque(maxlen=LINES_SHOWN)
        async with beside(self._heard(deploying, heard_after, lines)) as hearing:
            await self._request(deploying, lease)
            await self._completed(deploying)
            await asyncio.wait([hearing], timeout=self._lab.settings.line_wait_s)
            if not hearing.done():
                raise NotDeployed(self._silence(deploying, list(lines)))
            line = hearing.result()
        return NodeDeployed(
            timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, host=deploying.host,
            device=deploying.device, job_id=deploying.job_id, line=line,
        )  # fmt: skip

    async def _request(self, deploying: NodeDeploying, lease: Lease | None) -> None:
        self._work.flash_jobs[deploying.job_id] = deploying.host
        if await self._lab.job(deploying.job_id) is not None:
            await self._say(f"flash job {deploying.job_id} was requested before; following it")
            return
        await self._claim.check()
        await self._claim.append(
            FlashRequested(
                timestamp=_now(), host=deploying.host, job_id=deploying.job_id, device=deploying.device, image=self._image,
                address=self._profile.firmware_address, profile=self._profile.board, task_id=self._task_id, node_id=self._node.node_id,
                lease_id=None if lease is None else lease.lease_id,
            ),
            event_id=f"{deploying.job_id}-requested",  # the same job again is the same event
        )  # fmt: skip

    async def _completed(self, deploying: NodeDeploying) -> None:
        async def over() -> Job | None:
            job = await self._lab.job(deploying.job_id)
            return job if job is not None and job.state in _OVER else None

        job = await self._lab.until(over, within_s=self._lab.settings.flash_wait_s)
        if job is None:
            now = _now()
            await self._claim.append(
                FlashCancelRequested(
                    timestamp=now, host=deploying.host, job_id=deploying.job_id, reason="it took too long"
                )
            )
            raise NotDeployed(
                f"flash job {deploying.job_id} on {deploying.host} did not end within {self._lab.settings.flash_wait_s:g} s; "
                "does the flash agent of that host run?"
            )
        self._work.flash_jobs.pop(deploying.job_id, None)
        if job.state == "failed":
            raise NotDeployed(f"flashing {deploying.device} on {deploying.host} failed: {job.error}")
        if job.state == "cancelled":
            raise NotDeployed(f"flash job {deploying.job_id} was cancelled{f': {job.error}' if job.error else ''}")

    async def _heard(self, deploying: NodeDeploying, after: int, lines: deque[str]) -> str:
        """The first line of the freshly booted image that shows what is wanted; all lines go to ``lines``."""
        filters = [filter_of(SerialLine, host=deploying.host, device=deploying.device)]
        async with aclosing(follow(self._lab.bus, filters, after=after, stream=LIVE)) as batches:
            async for batch in batches:
                for message in batch.messages:
                    sample = _line_of(message)
                    if sample is not None and sample.job_id == deploying.job_id:
                        lines.append(sample.line)
                        if self._shows(sample.line):
                            return sample.line
        raise AssertionError("unreachable: follow ends only with its reader")

    def _silence(self, deploying: NodeDeploying, lines: list[str]) -> str:
        where = f"{deploying.device} on {deploying.host}"
        said = "It printed: " + " | ".join(lines) if lines else "It printed nothing."
        within = self._lab.settings.line_wait_s
        return f"{where} was flashed, but did not print {self._wanted} within {within:g} s. {said}"

    async def _say(self, line: str) -> None:
        await self._claim.sample(
            TaskLog(timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, line=line)
        )


def wanted(node: NodeSpec, *, joined: bool) -> tuple[str, Callable[[str], bool]]:
    """What the board has to print, in words and as a test of one line.

    That is ``expect``; without it the first required text, else the first required regex, else any line that is not blank. Nobody joins real
    boards: what a ``joined`` node has to show may be its answer to another, so that of it only ``expect`` counts.
    """
    required = [one for one in node.assertions if one.required and not joined]
    text = node.expect or next(filter(None, map(_text_of, required)), None)
    if text is not None:
        first_line = next((part for part in re.split(r"[\r\n]+", text) if part.strip()), text)
        return repr(first_line), lambda line: first_line in line
    shown = next((one for one in required if one.kind in (Kind.REGEX, Kind.RANGE)), None)
    if shown is not None:
        timeless = replace(shown, within_s=None)
        number = " with a number in its range" if shown.kind == Kind.RANGE else ""
        return f"a line that matches {shown.pattern!r}{number}", lambda line: judge(line, [timeless])[0].passed
    return "anything", lambda line: bool(line.strip())


def _text_of(one: Assertion) -> str | None:
    match one.kind:
        case Kind.SUBSTRING:
            return one.pattern
        case Kind.ORDER:
            return one.patterns[-1]
        case _:
            return None


def _line_of(message: Message) -> SerialLine | None:
    try:
        event = codec.decode(message.body, message.headers, message.subject)
    except codec.Malformed:
        return None
    return event if isinstance(event, SerialLine) else None


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _now() -> datetime:
    return datetime.now(UTC)
