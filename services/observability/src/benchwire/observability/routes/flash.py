"""Boards, and what is put on them."""

import re
import uuid
from functools import partial
from typing import Any

from litestar import get, post
from litestar.exceptions import NotFoundException
from litestar.params import JSONBody

from benchwire.events.event import Artifact, token
from benchwire.observability import commands, errors, queries
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row
from benchwire.observability.routes.params import Before, Id, Limit, Text, TheLab
from benchwire.observability.session import iso
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire import flash as wire
from benchwire.observability.wire.requests import StartFlash
from benchwire.web.described import described
from benchwire.web.tokens import Scope

_FLASH_AGENT = "flash-agent"
_DIGEST = re.compile(r"[0-9a-f]{64}")


async def _devices(lab: Lab) -> dict[str, Any]:
    rows = await lab.read(queries.devices)
    there = await lab.present.names(_FLASH_AGENT)
    now = iso(lab.now())
    return {
        "devices": [
            wire.device_view(row, host_is_up=None if there is None else row["host"] in there, now=now) for row in rows
        ]
    }


@get("/api/devices", opt=described(answers=answers.Devices))
async def list_devices(lab: TheLab) -> dict[str, Any]:
    """Boards that are plugged in, on all hosts."""
    return await _devices(lab)


@get("/api/deploy/devices", opt=described(answers=answers.Devices))
async def list_deploy_devices(lab: TheLab) -> dict[str, Any]:
    """Boards that are plugged in, on all hosts, as ``/api/devices`` lists them."""
    return await _devices(lab)


@get("/api/hosts", opt=described(answers=answers.Hosts))
async def list_hosts(lab: TheLab) -> dict[str, Any]:
    """Hosts that have, or had, a flash agent."""
    there = await lab.present.names(_FLASH_AGENT)
    rows = await lab.read(queries.hosts)
    return {
        "hosts": [
            {
                "host": row["host"],
                "version": row["version"],
                "up": bool(row["up"]) if there is None else row["host"] in there,
                "since": row["since"],
            }
            for row in rows
        ]
    }


@get("/api/flash/jobs", opt=described(answers=answers.FlashJobs))
async def list_jobs(
    lab: TheLab,
    *,
    status: Text = None,
    host: Text = None,
    device_id: Text = None,
    task_id: Text = None,
    before: Before = None,
    limit: Limit = None,
) -> dict[str, Any]:
    """Flash jobs, newest first."""
    most = limit or 100
    rows = await lab.read(
        partial(queries.jobs, status=status, host=host, device=device_id, task_id=task_id, before=before, limit=most)
    )
    more = rows[-1]["seq"] if len(rows) == most else None
    return {"jobs": [wire.job_view(row) for row in rows], "next_before": more}


async def known(lab: Lab, job_id: str) -> Row:
    """The flash job of that id. Raises ``JobUnknown``."""
    token(job_id, "job_id")
    found = await lab.read(lambda db: queries.job(db, job_id))
    if found is None:
        raise errors.JobUnknown(job_id)
    return found


@get("/api/flash/jobs/{job_id:str}", opt=described(answers=answers.FlashJob))
async def get_job(lab: TheLab, job_id: Id) -> dict[str, Any]:
    """One flash job."""
    return wire.job_view(await known(lab, job_id))


@post(
    "/api/flash/jobs/{job_id:str}/{wish:str}",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.FlashSteered, refuses=(409,)),
)
async def steer_job(lab: TheLab, job_id: Id, wish: Id) -> dict[str, Any]:
    """Asks the flash agent to pause, resume or cancel a job; its answer comes as an event."""
    if wish not in commands.STEERING:
        raise NotFoundException(f"a flash job can be asked to {', '.join(commands.STEERING)}")
    job = await known(lab, job_id)
    if job["status"] not in queries.ACTIVE_JOBS:
        raise errors.JobOver(job_id, job["status"])
    await lab.write(commands.STEERING[wish](timestamp=lab.now(), host=job["host"], job_id=job_id))
    return {"jobId": job_id, "status": (await known(lab, job_id))["status"]}


@post(
    "/api/flash/start",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.FLASH, answers=answers.FlashStarted, refuses=(404,)),
)
async def start_flash(lab: TheLab, data: JSONBody[StartFlash]) -> dict[str, Any]:
    """Queues a job with the flash agent of the device's host."""
    device = await _device(lab, data)
    image = await _image(lab, data)
    job_id = f"job_{uuid.uuid4().hex[:16]}"
    event = commands.request_flash(
        job_id=job_id, host=device["host"], device=device["device"], board=device["profile"], image=image, document_id=data.document,
        address=data.address, now=lab.now(),
    )  # fmt: skip
    await lab.write(event)
    return {"jobId": job_id, "status": "started", "deviceId": device["device"], "host": device["host"]}


async def _device(lab: Lab, asked: StartFlash) -> Row:
    if not asked.device:
        raise errors.Unusable("device_id: it is missing")
    host, slash, name = asked.device.rpartition("/")
    found = await lab.read(lambda db: queries.devices_named(db, name, host if slash else asked.host))
    if not found:
        raise errors.DeviceUnknown(asked.device)
    if len(found) > 1:
        raise errors.DeviceAmbiguous(name, [row["host"] for row in found])
    return found[0]


async def _image(lab: Lab, asked: StartFlash) -> Artifact:
    digest, name = asked.artifact, asked.artifact
    if asked.document is not None:
        document = await lab.read(lambda db: queries.document(db, asked.document or ""))
        if document is None:
            raise errors.FirmwareUnknown(f"there is no document {asked.document!r}")
        digest, name = document["digest"], document["filename"]
    if not digest or not name:
        raise errors.Unusable("artifact_id: give the digest of the firmware, or a document_id")
    if not _DIGEST.fullmatch(digest):
        raise errors.Unusable("artifact_id: it must be a SHA-256 in lower-case hex")
    return Artifact(digest=digest, size_bytes=await lab.blobs.size_of(digest), name=name)


ROUTES = [list_devices, list_deploy_devices, list_hosts, list_jobs, get_job, steer_job, start_flash]
