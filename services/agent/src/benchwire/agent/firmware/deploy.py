"""An image onto a board: choose one, have it for ourselves, let its host flash it, and hear it print what it has to."""

import asyncio
import contextlib
import re
import uuid
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime

from benchwire.agent import commands, device
from benchwire.agent.beside import beside
from benchwire.agent.claim import Claim
from benchwire.agent.device import Device
from benchwire.agent.errors import BoardTaken, NotDeployed
from benchwire.agent.lab import Lab
from benchwire.agent.queries import Board, Job
from benchwire.agent.tools.assertions import judge
from benchwire.agent.work import Work
from benchwire.boards.profile import Profile, Pyocd
from benchwire.events import codec
from benchwire.events.bus import LIVE
from benchwire.events.catalog import filter_of
from benchwire.events.device import DeviceReleased
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashCancelRequested, FlashRequested
from benchwire.events.follow import follow
from benchwire.events.live import SerialLine, TaskLog
from benchwire.events.log import Contended, LogUnavailable
from benchwire.events.task import NodeDeployed, NodeDeploying, NodeSpec

Place = tuple[str, str]  # host and device

LINES_SHOWN = 20
_OVER = ("completed", "failed", "cancelled")


class Deployment:
    """One image of one node on its way to a board. ``before`` is the flash job that an earlier runner had requested for it."""

    def __init__(
        self, lab: Lab, claim: Claim, work: Work, *, task_id: str, node: NodeSpec, profile: Profile, image: Artifact
    ) -> None:
        self._lab = lab
        self._claim = claim
        self._work = work
        self._task_id = task_id
        self._node = node
        self._profile = profile
        self._image = image

    async def run(self, before: NodeDeploying | None) -> NodeDeployed:
        """The event that tells what the board printed, not yet written. Raises ``NotDeployed``, ``ClaimLost`` and ``LogUnavailable``."""
        if before is not None and await self._goes_on(before):
            # Its lines may have been printed while nobody listened: LIVE keeps the last hour.
            async with self._leased(lambda: _only(before.host, before.device)):
                return await self._flashed(before, heard_after=0)
        async with self._leased(self._boards) as (host, name):
            heard_after = await self._lab.last_sample()
            deploying = NodeDeploying(
                timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, host=host, device=name,
                job_id=f"job_{uuid.uuid4().hex}",
            )  # fmt: skip
            await self._claim.append(deploying)
            return await self._flashed(deploying, heard_after=heard_after)

    async def _goes_on(self, before: NodeDeploying) -> bool:
        job = await self._lab.job(before.job_id)
        return job is None or job.state in ("requested", "started", "completed")

    async def _boards(self) -> list[Place]:
        now = _now()
        boards = await self._lab.boards(self._profile.name)
        free = [one for one in boards if one.holder in (None, self._holder) or _expired(one, now)]
        # One that a runner before this had leased for the node would else stay taken; beyond that, nodes that look for a board in
        # the same moment each begin with another one.
        free.sort(key=lambda one: (one.holder != self._holder, one.jobs, _spread(self._holder, one)))
        return [(one.host, one.device) for one in free]

    async def _why_no_board(self) -> str:
        taken = await self._lab.boards(self._profile.name)
        if taken:
            held = ", ".join(f"{one.device} on {one.host} by {one.holder}" for one in taken)
            return f"all {self._profile.name} boards stayed taken: {held}"
        return (
            f"no {self._profile.name} board is attached to any host whose flash agent runs (waited "
            f"{self._lab.settings.board_wait_s:g} s); plug one in, or ask for the task without deploy"
        )

    @property
    def _holder(self) -> str:
        return f"{self._task_id}/{self._node.node_id}"

    @property
    def _lease_s(self) -> float:
        return self._lab.settings.flash_wait_s + self._lab.settings.line_wait_s + 5.0

    @contextlib.asynccontextmanager
    async def _leased(self, places: Callable[[], Awaitable[list[Place]]]) -> AsyncGenerator[Place, None]:
        """Has the first of ``places`` that can be had for this node alone, so that what it prints is ours; across runners."""
        lease_id = uuid.uuid4().hex

        async def taken() -> Place | None:
            for host, name in await places():
                with contextlib.suppress(BoardTaken, Contended):  # who is faster has it
                    await self._take(host, name, lease_id)
                    return host, name
            return None

        place = await self._lab.until(taken, within_s=self._lab.settings.board_wait_s)
        if place is None and await self._lab.boards(self._profile.name):
            await self._say(f"all {self._profile.name} boards are taken; waiting for one")
            place = await self._lab.until(
                taken, within_s=self._lease_s
            )  # whoever has one has it for no longer than this
        if place is None:
            raise NotDeployed(await self._why_no_board())
        host, name = place
        try:
            yield place
        finally:
            # An orderly end of this runner keeps it: whoever goes on with the task has the same name there.
            if self._work.verdict is not None or not _cancelled():
                await self._give_back(host, name, lease_id)

    async def _give_back(self, host: str, name: str, lease_id: str) -> None:
        with contextlib.suppress(LogUnavailable):  # then it expires
            await self._lab.log.append(DeviceReleased(timestamp=_now(), host=host, device=name, lease_id=lease_id))

    async def _take(self, host: str, name: str, lease_id: str) -> None:
        try:
            await self._lab.log.decide(
                device.TYPES, Device(), device.evolve,
                lambda state: commands.lease(
                    state, host=host, name=name, lease_id=lease_id, holder=self._holder, for_s=self._lease_s, now=_now()
                ),
                host=host, device=name,
            )  # fmt: skip
        except (asyncio.CancelledError, LogUnavailable):
            # It may have landed all the same. The release of a lease that did not is of no effect.
            await self._give_back(host, name, lease_id)
            raise

    async def _flashed(self, deploying: NodeDeploying, *, heard_after: int) -> NodeDeployed:
        lines: deque[str] = deque(maxlen=LINES_SHOWN)
        async with beside(self._heard(deploying, heard_after, lines)) as hearing:
            await self._request(deploying)
            await self._completed(deploying)
            await asyncio.wait([hearing], timeout=self._lab.settings.line_wait_s)
            if not hearing.done():
                raise NotDeployed(self._silence(deploying, list(lines)))
            line = hearing.result()
        return NodeDeployed(
            timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, host=deploying.host,
            device=deploying.device, job_id=deploying.job_id, line=line,
        )  # fmt: skip

    async def _request(self, deploying: NodeDeploying) -> None:
        driver = self._profile.driver
        self._work.flash_jobs[deploying.job_id] = deploying.host
        if await self._lab.job(deploying.job_id) is not None:
            await self._say(f"flash job {deploying.job_id} was requested before; following it")
            return
        await self._claim.check()
        await self._claim.append(
            FlashRequested(
                timestamp=_now(), host=deploying.host, job_id=deploying.job_id, device=deploying.device, image=self._image,
                address=driver.address if isinstance(driver, Pyocd) else driver.offset,
                profile=self._profile.name, task_id=self._task_id, node_id=self._node.node_id,
            ),
            event_id=f"{deploying.job_id}-requested",  # the same job again is the same event
        )  # fmt: skip
        await self._say(f"flashing {deploying.device} on {deploying.host} ({deploying.job_id})")

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
        shows = wanted(self._node)[1]
        filters = [filter_of(SerialLine, host=deploying.host, device=deploying.device)]
        async with aclosing(follow(self._lab.bus, filters, after=after, stream=LIVE)) as batches:
            async for batch in batches:
                for message in batch.messages:
                    sample = _line_of(message.body)
                    if sample is not None and sample.job_id == deploying.job_id:
                        lines.append(sample.line)
                        if shows(sample.line):
                            return sample.line
        raise AssertionError("unreachable: follow ends only with its reader")

    def _silence(self, deploying: NodeDeploying, lines: list[str]) -> str:
        where = f"{deploying.device} on {deploying.host}"
        said = "It printed: " + " | ".join(lines) if lines else "It printed nothing."
        within = self._lab.settings.line_wait_s
        return f"{where} was flashed, but did not print {wanted(self._node)[0]} within {within:g} s. {said}"

    async def _say(self, line: str) -> None:
        await self._claim.sample(
            TaskLog(timestamp=_now(), task_id=self._task_id, node_id=self._node.node_id, line=line)
        )


async def _only(host: str, name: str) -> list[Place]:
    return [(host, name)]


def wanted(node: NodeSpec) -> tuple[str, Callable[[str], bool]]:
    """What the board has to print, in words and as a test of one line.

    That is ``expect``; without it the first required substring, else the first required regex, else any line that is not blank.
    """
    required = [one for one in node.assertions if one.required]
    text = node.expect or next((one.pattern for one in required if one.kind == "substring"), None)
    if text is not None:
        first_line = next((part for part in re.split(r"[\r\n]+", text) if part.strip()), text)
        return repr(first_line), lambda line: first_line in line
    regex = next((one for one in required if one.kind == "regex"), None)
    if regex is not None:
        return f"a line that matches {regex.pattern!r}", lambda line: judge(line, [regex])[0].passed
    return "anything", lambda line: bool(line.strip())


def _line_of(body: bytes) -> SerialLine | None:
    try:
        event = codec.decode(body)
    except codec.Malformed:
        return None
    return event if isinstance(event, SerialLine) else None


def _spread(holder: str, board: Board) -> int:
    return zlib.crc32(f"{holder} {board.host}/{board.device}".encode())


def _expired(board: Board, now: datetime) -> bool:
    return board.lease_expires_at is not None and datetime.fromisoformat(board.lease_expires_at) <= now


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _now() -> datetime:
    return datetime.now(UTC)
