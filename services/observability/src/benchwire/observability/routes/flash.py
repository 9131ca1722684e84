"""What is put on boards: jobs, begun and steered; those that have ended, and what they tell."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.params import JSONBody, QueryParameter

from benchwire.events.event import Artifact
from benchwire.observability import commands, errors, queries
from benchwire.observability.boards import flashing
from benchwire.observability.boards.flashing import Uploaded
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row
from benchwire.observability.routes.bodies import whole
from benchwire.observability.routes.calls import made_id
from benchwire.observability.routes.params import AnyRequest, Before, Id, Limit, Text, TheLab
from benchwire.observability.session import iso
from benchwire.observability.settings import Settings
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire import flash as wire
from benchwire.observability.wire.flashing import Throttle, address_of, merged, of_fields, of_json
from benchwire.web.described import described
from benchwire.web.forms import MULTIPART, OVERHEAD_BYTES, Form, Kind, Part, received
from benchwire.web.temporary import TemporaryFile, files_in
from benchwire.web.tokens import Scope

TheSettings = NamedDependency[Settings]
_MOST_LEARNED_FROM = 100_000
_LEARNED_FROM = 20_000
_LEARNED_FROM_DAYS = 30
_LONGEST_NAME = 200
_FILES = ("file", "firmware")
MostLearnedFrom = Annotated[int, QueryParameter(ge=1, le=_MOST_LEARNED_FROM)]


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


@get("/api/flash/history", opt=described(answers=answers.FlashHistory))
async def list_history(
    lab: TheLab,
    *,
    status: Text = None,
    host: Text = None,
    device_id: Text = None,
    profile: Text = None,
    code: Text = None,
    before: Before = None,
    limit: Limit = None,
) -> dict[str, Any]:
    """Flash jobs that have ended, the last to end first."""
    most = limit or 100
    asked = partial(queries.history, status=status, host=host, device=device_id, profile=profile, code=code)
    rows = await lab.read(partial(asked, before=before, limit=most))
    more = rows[-1]["ended_seq"] if len(rows) == most else None
    return {"history": [wire.job_view(row) for row in rows], "next_before": more}


@get("/api/flash/analytics", opt=described(answers=answers.FlashAnalytics))
async def get_analytics(
    lab: TheLab, *, by: Text = None, since: Text = None, until: Text = None, limit: MostLearnedFrom = _LEARNED_FROM
) -> dict[str, Any]:
    """What came of the jobs that ended, in all and ``by`` board, host or device: success rate, duration, speed, errors.

    ``since`` and ``until`` are times, or days in UTC; without them it is the last 30 days. No more than the newest ``limit`` jobs are looked
    at. Durations and speeds are of jobs that completed, with whatever slowed them; jobs of outside flashers do not count.
    """
    key = by or "board"
    if key not in queries.BY:
        raise errors.Unusable(f"by: it must be {', '.join(queries.BY)}")
    last = _moment("until", until) or lab.now()
    first = _moment("since", since) or last - timedelta(days=_LEARNED_FROM_DAYS)
    total, groups = await lab.read(partial(queries.analytics, by=key, since=iso(first), until=iso(last), limit=limit))
    return {
        "by": key,
        "since": iso(first),
        "until": iso(last),
        "is_all": total.jobs < limit,
        "total": wire.learned_view(total),
        "groups": [wire.learned_view(one) for one in groups],
    }


def _moment(name: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        iso(moment)
    except (ValueError, OverflowError):
        raise errors.Unusable(f"{name}: it must be a day like 2026-01-17, or a time in ISO 8601") from None
    return moment


@get("/api/flash/jobs/{job_id:str}", opt=described(answers=answers.FlashJob))
async def get_job(lab: TheLab, job_id: Id) -> dict[str, Any]:
    """One flash job."""
    return wire.job_view(await flashing.known(lab, job_id))


async def _steerable(lab: Lab, job_id: str) -> Row:
    job = await flashing.known(lab, job_id)
    if job["status"] not in queries.ACTIVE_JOBS:
        raise errors.JobOver(job_id, job["status"])
    if job["outside"]:
        raise errors.NotOurs(job_id, job["host"])
    return job


@post(
    "/api/flash/jobs/{job_id:str}/throttle",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.THROTTLE, answers=answers.FlashSteered, refuses=(409,)),
)
async def throttle_job(lab: TheLab, job_id: Id, data: JSONBody[Throttle]) -> dict[str, Any]:
    """Asks for a job to write no more than so many bytes a second; its host's answer comes as an event."""
    job = await _steerable(lab, job_id)
    await lab.write(commands.throttle(job["host"], job_id, data.max_bytes_per_s, lab.now()))
    return {"jobId": job_id, "status": (await flashing.known(lab, job_id))["status"]}


@post(
    "/api/flash/jobs/{job_id:str}/{wish:str}",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.FlashSteered, refuses=(409,)),
)
async def steer_job(lab: TheLab, job_id: Id, wish: Id) -> dict[str, Any]:
    """Asks the flash agent to pause, resume or cancel a job; its answer comes as an event."""
    if wish not in commands.STEERING:
        raise NotFoundException(f"a flash job can be asked to {', '.join(commands.STEERING)}")
    job = await _steerable(lab, job_id)
    await lab.write(commands.STEERING[wish](timestamp=lab.now(), host=job["host"], job_id=job_id))
    return {"jobId": job_id, "status": (await flashing.known(lab, job_id))["status"]}


@post(
    "/api/flash/start",
    status_code=200,
    request_max_body_size=None,
    opt=described(scope=Scope.CONTROL, bodies=examples.FLASHES, answers=answers.FlashStarted, refuses=(404, 409, 507)),
)
async def start_flash(lab: TheLab, request: AnyRequest, settings: TheSettings) -> dict[str, Any]:
    """Queues a job with the flash agent of the board's host.

    The firmware is one that the lab has (``artifact_id`` or ``document_id``), or comes along: ``multipart/form-data`` with a file, named
    ``file`` or ``firmware``, or several, each named like ``file@0x10000``; all else are text fields. What the body does not say may stand in
    the query. A field of a form or of the query that nobody knows is refused. Without a ``device_id``, a free board of that ``profile`` with
    those ``labels`` is taken, or the one whose jobs end first; none that somebody has leased. Repeated with the same ``Idempotency-Key``, it
    is the same job.
    """
    job_id = made_id("job_", request)
    said = of_fields(request.query_params.multi_items())
    if request.headers.get("content-type", "").lower().startswith(MULTIPART):
        async with _form(request, settings) as form:
            job = await flashing.started(lab, merged(of_fields(form.fields), said), _uploads(form), job_id=job_id)
    else:
        job = await flashing.started(lab, merged(of_json(await whole(request)), said), job_id=job_id)
    return {"jobId": job_id, "status": "started", "deviceId": job["device"], "host": job["host"]}


@asynccontextmanager
async def _form(request: AnyRequest, settings: Settings) -> AsyncGenerator[Form[TemporaryFile], None]:
    limit = settings.firmware_limit_bytes
    if (request.content_length or 0) > limit + OVERHEAD_BYTES:
        raise RequestEntityTooLarge
    content_type = request.headers["content-type"]
    into = files_in(settings.incoming)
    async with received(request.stream(), content_type, into, limit_bytes=limit, kind_of=_kind) as form:
        yield form


def _kind(part: Part) -> Kind:
    """A file may come without a name, but not under any other: it would be 128 MiB of what nobody asked for."""
    if part.field.partition("@")[0] in _FILES:
        return "file"
    if part.filename:
        raise errors.Unusable(f"{part.field[:60]}: a file is named 'file' or 'firmware', or like 'file@0x10000'")
    return "text"


def _uploads(form: Form[TemporaryFile]) -> list[Uploaded]:
    found = []
    for one in form.files:
        _, at, place = one.part.field.partition("@")
        artifact = Artifact(digest=one.kept.digest, size_bytes=one.kept.size_bytes, name=_name(one.part.filename))
        found.append(Uploaded(artifact, one.kept.path, address_of(place, one.part.field[:60]) if at else None))
    return found


def _name(filename: str) -> str:
    last = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if c.isprintable())[:_LONGEST_NAME] or "firmware"


ROUTES = [list_jobs, list_history, get_analytics, get_job, throttle_job, steer_job, start_flash]
