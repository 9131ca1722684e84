"""An image onto a board, by the flash agent of the board's host."""

import asyncio
import math
from collections import deque
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from benchwire.agent.beside import beside
from benchwire.agent.errors import ClaimLost, ToolFailed
from benchwire.agent.queries import Device, Job
from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.toolbox.boards import Boards, DeviceName, Host
from benchwire.agent.toolbox.documents import told_of
from benchwire.agent.toolbox.firmware import BuildId, Firmware
from benchwire.agent.toolbox.inputs import Input, tool
from benchwire.agent.toolbox.leases import Leases
from benchwire.agent.toolbox.place import Place
from benchwire.agent.toolbox.serial import Serial
from benchwire.boards import profile as profiles
from benchwire.boards.profile import Profile
from benchwire.events import codec
from benchwire.events.blobs import BlobMissing
from benchwire.events.bus import LIVE
from benchwire.events.catalog import filter_of
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashCancelRequested, FlashRequested
from benchwire.events.follow import Message, follow
from benchwire.events.live import FlashProgress
from benchwire.events.log import LogUnavailable

MAX_WAIT_S = 1800.0
_OVER = ("completed", "failed", "cancelled")


class FlashDevice(Input, frozen=True, kw_only=True):
    """Flashes a board with a build, or with the bytes of a document, verifies it, and boots it. The board has to be leased to this session,
    or free. Waits until it is done. Use wait_for_line afterwards to see what it prints.
    """

    device: DeviceName
    host: Host = None
    build: BuildId | None = None
    document_id: Annotated[
        Annotated[str, Meta(max_length=128)] | None, Meta(description="a document that holds an image for this board")
    ] = None
    timeout_s: Annotated[float, Meta(gt=0, le=MAX_WAIT_S, description="after which the job is cancelled")] = 180.0


class _Image(msgspec.Struct, frozen=True, kw_only=True):
    artifact: Artifact
    profile: Profile
    document_id: str | None = None


class Flashing:
    """Flash jobs of one session, each with an id that follows from the call: made again, the call finds the job."""

    def __init__(self, place: Place, boards: Boards, held: Leases, serial: Serial, firmware: Firmware) -> None:
        self._place = place
        self._boards = boards
        self._leases = held
        self._serial = serial
        self._firmware = firmware

    async def flash(self, asked: FlashDevice, use_id: str) -> str:
        """The tool flash_device."""
        if (asked.build is None) == (asked.document_id is None):
            raise ToolFailed("say what to flash: either build or document_id")
        board = await self._boards.found(asked.device, asked.host)
        job_id = self._place.named_after(use_id, "job")
        last: deque[FlashProgress] = deque(maxlen=1)
        try:
            async with beside(self._watched(board, job_id, last)):
                if await self._place.lab.job(job_id) is None:
                    await self._request(asked, board, job_id)
                else:
                    await self._serial.mark_boot(board.host, board.device, job_id)
                job = await self._ended(job_id, asked.timeout_s)
        except asyncio.CancelledError:
            if self._place.ends:
                await self._cancel(board, job_id, "its session no longer waits for it")
            raise
        if job is None:
            await self._cancel(board, job_id, "it took too long")
            raise ToolFailed(
                f"flash job {job_id} did not end within {asked.timeout_s:g} s{_at(last)}, and was cancelled; is the flash agent of "
                f"{board.host} there, and does the board answer?"
            )
        if job.state != "completed":
            raise ToolFailed(f"flash job {job_id} was {job.state}{_at(last)}: {job.error or 'no reason was given'}")
        return f"{board.device} on {board.host} was flashed and verified, and has booted (flash job {job_id})"

    async def _request(self, asked: FlashDevice, board: Device, job_id: str) -> None:
        image = await self._image(asked, board)
        lease_id = await self._leases.of(board)
        await self._serial.mark(board.host, board.device)
        await self._place.claim.check()
        await self._place.claim.append(
            FlashRequested(
                timestamp=datetime.now(UTC), host=board.host, job_id=job_id, device=board.device, image=image.artifact,
                address=image.profile.firmware_address, profile=image.profile.board, session_id=self._place.session_id,
                document_id=image.document_id, lease_id=lease_id,
            ),
            event_id=f"{job_id}-requested",  # the same job again is the same event
        )  # fmt: skip

    async def _image(self, asked: FlashDevice, board: Device) -> _Image:
        if asked.build is not None:
            sheet = await self._firmware.sheet(asked.build)
            profile = _flashed(sheet.profile)
            if board.profile not in (None, profile.board):
                raise ToolFailed(f"that build is for {sheet.profile}, and {board.device} is a {board.profile}")
            return _Image(artifact=sheet.image, profile=profile)
        if board.profile is None:
            raise ToolFailed(f"nobody knows what {board.device} is, so a document cannot be flashed on it")
        told = await told_of(self._place.lab.bus, str(asked.document_id))
        try:
            await self._place.lab.blobs.hold(told.artifact)
        except BlobMissing as error:
            raise ToolFailed(str(error)) from error
        return _Image(artifact=told.artifact, profile=_flashed(board.profile), document_id=told.document.document_id)

    async def _ended(self, job_id: str, within_s: float) -> Job | None:
        async def over() -> Job | None:
            job = await self._place.lab.job(job_id)
            return job if job is not None and job.state in _OVER else None

        return await self._place.lab.until(over, within_s=within_s)

    async def _cancel(self, board: Device, job_id: str, reason: str) -> None:
        cancel = FlashCancelRequested(timestamp=datetime.now(UTC), host=board.host, job_id=job_id, reason=reason)
        try:
            await self._place.claim.append(cancel)
        except (ClaimLost, LogUnavailable):
            return  # whoever has the session now follows the job

    async def _watched(self, board: Device, job_id: str, last: deque[FlashProgress]) -> None:
        """Keeps the last progress, for the sentence in case that it does not come to its end."""
        filters = [filter_of(FlashProgress, host=board.host, job_id=job_id)]
        async with aclosing(follow(self._place.lab.bus, filters, stream=LIVE)) as batches:
            async for batch in batches:
                for message in batch.messages:
                    if (progress := _progress_of(message)) is not None:
                        last.append(progress)


def tools(calls: Calls, flashing: Flashing) -> list[Tool]:
    """The one that flashes."""
    return [tool(calls, "flash_device", FlashDevice, flashing.flash, repeatable=True, timeout_s=math.inf)]


def _progress_of(message: Message) -> FlashProgress | None:
    try:
        event: Any = codec.decode(message.body, message.headers, message.subject)
    except codec.Malformed:
        return None
    return event if isinstance(event, FlashProgress) else None


def _flashed(name: str) -> Profile:
    try:
        return profiles.load_flashed(name)
    except (profiles.UnknownProfile, profiles.NotFlashed) as error:
        raise ToolFailed(str(error)) from error


def _at(last: deque[FlashProgress]) -> str:
    """How far it came, if anything was heard."""
    if not last:
        return ""
    how_far = f", {last[0].done_bytes} of {last[0].total_bytes} bytes" if last[0].total_bytes else ""
    return f" (it was {last[0].stage}{how_far})"
