"""Flashing: firmware onto real boards."""

import base64
import binascii
from typing import Annotated, Literal

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from benchwire.client import Image, Job, Lab, Line
from benchwire.mcp.reach import Ctx, of_lab
from benchwire.mcp.shapes import Ended, FlashJob, FlashJobs, newest
from benchwire.mcp.tools.kinds import DeviceName, Host, Labels, LeaseId, Profile, changes, reads
from benchwire.mcp.waiting import Wait, waited

_LONGEST_BOOT_S = 120.0

JobId = Annotated[str, Field(description="a flash job's id", max_length=128)]
Address = Annotated[
    str | None,
    Field(description="where it goes, like 0x8000000; where the board's firmware goes when absent"),
]


async def flash_device(
    ctx: Ctx,
    *,
    device: DeviceName | None = None,
    host: Host = None,
    profile: Profile = None,
    labels: Labels = {},  # noqa: B006 - pydantic copies it
    document_id: Annotated[str | None, Field(description="the firmware is this document")] = None,
    artifact_id: Annotated[str | None, Field(description="the firmware has this SHA-256; results of tasks show it")] = None,
    content_base64: Annotated[str | None, Field(description="the firmware itself: bin, elf or uf2 in base64")] = None,
    content_text: Annotated[str | None, Field(description="the firmware itself: Intel HEX, as text")] = None,
    name: Annotated[str, Field(description="what firmware that comes along is called", max_length=200)] = "firmware.bin",
    format: Annotated[  # noqa: A002 - the lab's word
        Literal["bin", "hex", "elf", "uf2"] | None, Field(description="the content tells when absent")
    ] = None,
    address: Address = None,
    lease_id: LeaseId = None,
    wait_s: Wait = 180.0,
    expect: Annotated[str | None, Field(description="a piece of text that the new firmware has to print")] = None,
    expect_within_s: Annotated[float, Field(gt=0, le=_LONGEST_BOOT_S, description="how long it has for that")] = 10.0,
) -> FlashJob:  # fmt: skip
    """Flashes a board, and waits for the end, verified. Name the board, or say what it has to be like. The firmware is one of document_id,
    artifact_id, content_base64 and content_text. What was on the board is overwritten. The job goes on when you stop waiting for it.
    """
    images = _images(document_id, artifact_id, content_base64, content_text, name)
    asked = {
        "device_id": device, "host": host, "profile": profile, "labels": labels, "document_id": document_id, "artifact_id": artifact_id,
        "format": format, "address": address, "lease_id": lease_id,
    }  # fmt: skip
    begun = await of_lab(ctx, lambda lab: lab.start_flash(images, **asked))
    job = await _followed(ctx, begun, wait_s)
    if expect is None or job.status != "completed":
        return FlashJob.of(job)
    return await _heard(ctx, job, expect, expect_within_s)


def _images(
    document_id: str | None, artifact_id: str | None, in_base64: str | None, text: str | None, name: str
) -> list[Image]:
    if sum(one is not None for one in (document_id, artifact_id, in_base64, text)) != 1:
        raise ToolError("say which firmware: one of document_id, artifact_id, content_base64 and content_text")
    if text is not None:
        return [Image(text.encode(errors="replace"), name=name)]
    if in_base64 is None:
        return []
    try:
        return [Image(base64.b64decode(in_base64, validate=True), name=name)]
    except (binascii.Error, ValueError):
        raise ToolError("content_base64: it is not base64") from None


async def _followed(ctx: Ctx, begun: Job, wait_s: float) -> Job:
    return await waited(
        ctx, lambda: of_lab(ctx, lambda lab: lab.job(begun.job_id)),
        is_over=lambda job: job.is_over, told=lambda job: f"{job.device_id} on {job.host}: {job.status}", wait_s=wait_s,
    )  # fmt: skip


async def _heard(ctx: Ctx, job: Job, expect: str, within_s: float) -> FlashJob:
    """The lab keeps what a board prints, so nothing that it said before this looks is missed."""

    def look(lab: Lab) -> list[Line]:
        lines = lab.printed(job.device_id, host=job.host, limit=1000)
        return [one for one in lines if one.job_id == job.job_id]

    lines = await waited(
        ctx, lambda: of_lab(ctx, look), wait_s=within_s, told=lambda heard: f"{len(heard)} lines",
        is_over=lambda heard: any(expect in one.line for one in heard),
    )  # fmt: skip
    printed = [one.line for one in lines]
    return FlashJob.of(job, expected=any(expect in one for one in printed), printed=newest(printed))


async def get_flash_job(ctx: Ctx, job_id: JobId, wait_s: Wait = 0.0) -> FlashJob:
    """How a flash job stands; with wait_s once it is over."""
    return FlashJob.of(await _followed(ctx, await of_lab(ctx, lambda lab: lab.job(job_id)), wait_s))


async def list_flash_jobs(
    ctx: Ctx,
    device: Annotated[str | None, Field(description="of this board; of all when absent")] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> FlashJobs:
    """The newest flash jobs, also one whose end you did not wait for."""
    found = await of_lab(ctx, lambda lab: lab.jobs(device_id=device, limit=limit))
    return FlashJobs(jobs=[FlashJob.of(one) for one in found])


async def cancel_flash_job(ctx: Ctx, job_id: JobId) -> Ended:
    """Asks for a flash job to be given up. A board that it was writing holds half an image then, and has to be flashed again."""
    return Ended(id=job_id, status=await of_lab(ctx, lambda lab: lab.steer(job_id, "cancel")))


TOOLS = [changes(flash_device), reads(list_flash_jobs), reads(get_flash_job), changes(cancel_flash_job)]
