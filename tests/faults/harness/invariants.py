"""What has to be true of a lab, whatever was done to it: looked at from outside, through its log, its HTTP and the files of its rows.

Each invariant is one function that answers with a ``Finding``: what it counted, and every single thing that is wrong. They are asked once the
load has drained and everything that was broken is whole again.
"""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from benchwire.agent import projection as of_agent
from benchwire.documents import projection as of_documents
from benchwire.events import flash
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.catalog import FACTS, subject_of
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.event import Event
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Log, Recorded
from benchwire.events.objects import Objects
from benchwire.events.presence import Presence
from benchwire.events.projection import Projection, Schema, rows_of
from benchwire.events.session import (
    SessionClaimed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    ToolCalled,
)
from benchwire.events.task import TaskCancelled, TaskClaimed, TaskFailed, TaskFinished, TaskRequested
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent import projection as of_flash_agent
from benchwire.observability import projection as of_observability
from benchwire.observability.projection import search as of_search

ENDS_OF_SESSION = (SessionEnded, SessionFailed, SessionStopped)
ENDS_OF_TASK = (TaskFinished, TaskFailed, TaskCancelled)
ENDS_OF_JOB = (flash.FlashCompleted, flash.FlashFailed, flash.FlashCancelled)
_SHOWN = 12  # of the things that are wrong, in a sentence
_DIGEST_CHARS = 64
_LAST_PART = 9  # of all frames of one place

Acked = tuple[str, str]
"""What a 2xx has promised: the tag of the event, and the id that the client knows it by (see ``known_by``)."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one invariant came to: ``figures`` are what was counted, ``wrong`` is everything that should not be."""

    invariant: str
    figures: dict[str, int]
    wrong: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


def check(findings: Iterable[Finding]) -> None:
    """Raises ``AssertionError`` with everything that is wrong."""
    broken = [one for one in findings if not one.holds]
    said = [f"{one.invariant}: {len(one.wrong)} wrong: " + "; ".join(one.wrong[:_SHOWN]) for one in broken]
    assert not said, "\n".join(said)


async def story(bus: Bus) -> list[Recorded]:
    """Every fact in the log, oldest first."""
    return [one async for one in Log(bus).read([FACTS])]


# What was acknowledged


def known_by(event: Event) -> str | None:
    """The id by which the client that asked for ``event`` knows it; None for events that no client asks for."""
    match event:
        case ToolCalled(tool_use_id=name) | FlashRequested(job_id=name) | TaskRequested(task_id=name):
            return name
        case SessionRequested(session_id=name) | DocumentCreated(document_id=name) | DocumentDeleted(document_id=name):
            return name
    return None


def acknowledged_once(facts: Sequence[Recorded], acked: Iterable[Acked]) -> Finding:
    """Every event that was acknowledged is in the log exactly once, and no id is in it twice."""
    promised = Counter(acked)
    landed = Counter((_tag(one.event), name) for one in facts if (name := known_by(one.event)) is not None)
    ids = Counter(one.id for one in facts)
    wrong = [f"id {one} is in the log {count} times" for one, count in ids.items() if count > 1]
    wrong += [
        f"{tag} {name} is in the log {landed[tag, name]} times" for tag, name in promised if landed[tag, name] != 1
    ]
    figures = Counter(tag for tag, _ in promised)
    return Finding(
        invariant="every acknowledged event is in the log exactly once",
        figures={"facts": len(facts), "acknowledged": len(promised), **figures},
        wrong=wrong,
    )


def _tag(event: Event) -> str:
    return str(event.__struct_config__.tag)


# Rows


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """One service's projection: whose it is, its file, and what it is made by."""

    of: str
    file: Path
    schema: Schema


def rows_in(data: Path, *, flash_host: str | None = None, runner: bool = False, doors: bool = False) -> list[Rows]:
    """The projections that lie in one ``BENCHWIRE_DATA``: of the flash agent of a host, of a runner, of the two HTTP services."""
    found = []
    if doors:
        home = data / "observability"
        found.append(Rows(of="observability", file=home / "projection.sqlite", schema=of_observability.SCHEMA))
        found.append(Rows(of="search", file=home / "search.sqlite", schema=of_search.SCHEMA))
        found.append(Rows(of="documents", file=data / "documents" / "projection.sqlite", schema=of_documents.SCHEMA))
    if runner:
        found.append(
            Rows(of=f"agent in {data.name}", file=data / "agent" / "projection.sqlite", schema=of_agent.SCHEMA)
        )
    if flash_host is not None:
        file = data / "flash-agent" / "projection.sqlite"
        found.append(Rows(of=f"flash agent of {flash_host}", file=file, schema=of_flash_agent.schema(flash_host)))
    return found


async def rows_equal_a_rebuild(bus: Bus, rows: Sequence[Rows], scratch: Path, *, within_s: float = 60.0) -> Finding:
    """Each file of rows holds what the log alone makes of an empty one, row for row; the services may run meanwhile.

    A service that runs may be a moment behind the log, so the two are compared until they are equal, or time is up.
    """
    wrong, figures = list[str](), dict[str, int]()
    for number, one in enumerate(rows):
        fresh = scratch / str(number) / "projection.sqlite"
        async with Projection(bus, fresh, one.schema, with_snapshots=False).running():
            try:
                await eventually(partial(_are_equal, one.file, fresh), within_s=within_s)
            except AssertionError:
                wrong += [f"{one.of}: {said}" for said in await asyncio.to_thread(_differences, one.file, fresh)]
            figures[f"rows of {one.of}"] = sum(map(len, (await asyncio.to_thread(rows_of, fresh)).values()))
    return Finding(invariant="every projection equals a rebuild, row for row", figures=figures, wrong=wrong)


async def _are_equal(live: Path, fresh: Path) -> bool:
    return await asyncio.to_thread(rows_of, live) == await asyncio.to_thread(rows_of, fresh)


def _differences(live: Path, fresh: Path) -> list[str]:
    has, should = rows_of(live), rows_of(fresh)
    told = []
    for table in sorted(has.keys() | should.keys()):
        there, wanted = Counter(map(repr, has.get(table, []))), Counter(map(repr, should.get(table, [])))
        told += [f"{table} has {row[:300]}" for row in (there - wanted)] + [
            f"{table} lacks {row[:300]}" for row in (wanted - there)
        ]
    return told or ["they differed until the last moment, and are equal now"]


# Owners and ends


class _Life(msgspec.Struct):
    """What the log says of one session, task or job: ends since it was asked for last, and who has it."""

    kind: str
    ends: int = 0
    twice: bool = False
    owner: str | None = None


async def ended_once_or_owned(bus: Bus, facts: Sequence[Recorded], *, all_over: bool = True) -> Finding:
    """Every job, task and session is in exactly one terminal state, or still owned by someone who is there.

    With ``all_over`` nothing may be left that still runs: the load has drained.
    """
    lives = _lives(facts)
    there = {f"{one.service} {one.name}" for one in await Presence(bus).everyone()}
    services = {one.partition(" ")[0] for one in there}
    wrong = [f"{one} has ended more than once" for one, life in lives.items() if life.twice]
    open_ = {one: life for one, life in lives.items() if not life.ends}
    for one, life in open_.items():
        who = life.owner or ("flash-agent" if life.kind == "job" else "agent")
        if who not in there and (life.owner is not None or who not in services):
            wrong.append(f"{one} has not ended, and {who} is not there")
        elif all_over:
            wrong.append(f"{one} has not ended, although the load has drained; {who} has it")
    figures = Counter(f"{life.kind}s" for life in lives.values()) + Counter({"still open": len(open_)})
    return Finding(
        invariant="every job, task and session is in exactly one terminal state, or owned by someone alive",
        figures=dict(figures),
        wrong=wrong,
    )


def _lives(facts: Sequence[Recorded]) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}
    for one in facts:
        match one.event:
            case SessionRequested(session_id=name):
                lives[f"session {name}"] = _again(lives.get(f"session {name}"), "session")
            case TaskRequested(task_id=name):
                lives[f"task {name}"] = _again(lives.get(f"task {name}"), "task")
            case FlashRequested(job_id=name, host=host):
                lives[f"job {name}"] = _Life("job", owner=f"flash-agent {host}")
            case SessionClaimed(session_id=name, runner=runner):
                _owned(lives, f"session {name}", runner)
            case TaskClaimed(task_id=name, runner=runner):
                _owned(lives, f"task {name}", runner)
            case event if isinstance(event, ENDS_OF_SESSION):
                _ended(lives, f"session {event.session_id}")
            case event if isinstance(event, ENDS_OF_TASK):
                _ended(lives, f"task {event.task_id}")
            case event if isinstance(event, ENDS_OF_JOB):
                _ended(lives, f"job {event.job_id}")
    return lives


def _again(before: _Life | None, kind: str) -> _Life:
    """A session that ended may be asked for again; what went wrong before stays wrong."""
    return _Life(kind, twice=before is not None and before.twice)


def _owned(lives: dict[str, _Life], name: str, runner: str) -> None:
    if (life := lives.get(name)) is not None:
        life.owner = f"agent {runner}"


def _ended(lives: dict[str, _Life], name: str) -> None:
    if (life := lives.get(name)) is not None:  # else its client runs it, and says what it likes
        life.ends += 1
        life.twice = life.twice or life.ends > 1


async def shown_as_ended(http: httpx.AsyncClient, facts: Sequence[Recorded]) -> Finding:
    """Observability shows each task, job and session in the state in which the log has it."""
    says = {
        "FlashCompleted": "completed",
        "FlashFailed": "failed",
        "FlashCancelled": "cancelled",
        "TaskFinished": "completed",
    }
    says |= {"TaskFailed": "failed", "TaskCancelled": "cancelled"}
    says |= {"SessionEnded": "finished", "SessionFailed": "failed", "SessionStopped": "stopped"}
    expected: dict[str, str] = {}
    for one in facts:
        event = one.event
        if isinstance(event, ENDS_OF_SESSION):
            expected[f"/sessions/{event.session_id}"] = says[type(event).__name__]
        elif isinstance(event, ENDS_OF_TASK):
            expected[f"/tasks/{event.task_id}"] = says[type(event).__name__]
        elif isinstance(event, ENDS_OF_JOB):
            expected[f"/api/flash/jobs/{event.job_id}"] = says[type(event).__name__]
        elif isinstance(event, SessionRequested):
            expected.pop(f"/sessions/{event.session_id}", None)
    wrong = []
    for path, status in expected.items():
        answer = await http.get(path)
        told = answer.json()
        shown = told.get("session", told).get("status")
        if answer.status_code != httpx.codes.OK or shown != status:
            wrong.append(f"{path} is {status} in the log, and shown as {shown} ({answer.status_code})")
    return Finding(invariant="what ended is shown as it ended", figures={"shown": len(expected)}, wrong=wrong)


# WebSockets


class Heard(msgspec.Struct, kw_only=True):
    """What one client of a ``/ws`` heard, over all its connections, each of which began at the ``place`` where the last one had ended.

    ``began`` is the sequence after which it was told everything, ``told`` are those of the facts that it was told. ``starts_over`` counts the
    times it was told how things stand instead of what it missed, which is what a service may do when that is too much.
    """

    name: str
    place: str = "0"
    began: int = 0
    last: tuple[int, int] = (0, 0)
    told: set[int] = set()
    again: list[str] = []
    frames: int = 0
    connections: int = 0
    starts_over: int = 0

    def note(self, place: tuple[int, int], *, tells: bool) -> None:
        """A frame came; ``tells`` says whether it is the one that tells the fact at this place."""
        self.frames += 1
        if place <= self.last:
            self.again.append(f"{place} after {self.last}")
        self.last = place
        if tells:
            self.told.add(place[0])

    def start_over(self, place: str, sequence: int) -> None:
        """It was told how things stand after ``sequence``."""
        self.starts_over += 1
        self.place, self.began, self.last = place, sequence, (sequence, _LAST_PART)
        self.told.clear()


def missed_nothing(of: str, due: Iterable[int], heard: Sequence[Heard]) -> Finding:
    """Clients of ``of`` that came back with ``since`` were told everything that is ``due``, up to the last frame they had, in order and once."""
    wrong = []
    everything = set(due)
    for client in heard:
        missed = sorted(one for one in everything - client.told if client.began < one <= client.last[0])
        if missed:
            wrong.append(f"{client.name} never heard of {len(missed)} of {len(everything)}: {missed[:5]}")
        if client.again:
            wrong.append(f"{client.name} heard {len(client.again)} frames twice or out of order: {client.again[:3]}")
    figures = {
        "clients": len(heard),
        "frames": sum(one.frames for one in heard),
        "connections": sum(one.connections for one in heard),
        "starts over": sum(one.starts_over for one in heard),
    }
    return Finding(
        invariant=f"clients of {of} that reconnect with since missed nothing, and heard nothing twice",
        figures=figures,
        wrong=wrong,
    )


def due_on_observability(facts: Sequence[Recorded], shown: Iterable[int]) -> set[int]:
    """What clients of all of observability's ``/ws`` are told: the events that sessions show (see ``events_shown``), and every other fact."""
    return set(shown) | {one.sequence for one in facts if not subject_of(one.event).startswith("bench.session.")}


def due_on_documents(facts: Sequence[Recorded]) -> set[int]:
    """What clients of documents' ``/ws`` are told in any case. A change of what is gone by now is told by its end alone."""
    return {one.sequence for one in facts if isinstance(one.event, DocumentCreated | DocumentDeleted)}


async def events_shown(http: httpx.AsyncClient) -> set[int]:
    """The ids of all events that sessions have, as ``GET /sessions/{id}/events`` lists them."""
    listed = (await http.get("/sessions")).raise_for_status().json()["sessions"]
    found: set[int] = set()
    for session in listed:
        answer = await http.get(f"/sessions/{session['session_id']}/events")
        found |= {int(one["id"]) for one in answer.raise_for_status().json()["events"]}
    return found


# Documents


class Kept(msgspec.Struct, kw_only=True):
    """A document as its client was told that it is: ``digest`` of its bytes, and the newest ``revision`` that was acknowledged."""

    digest: str
    revision: int = 0
    deleted: bool = False


async def documents_whole(http: httpx.AsyncClient, kept: Mapping[str, Kept]) -> Finding:
    """What is listed has all its bytes; what was acknowledged is listed as it was last, and what was deleted is gone."""
    listed = {one["id"]: one async for one in _documents(http)}
    wrong = []
    for name, one in listed.items():
        body = await http.get(f"/documents/{name}")
        digest = hashlib.sha256(body.content).hexdigest()
        if body.status_code != httpx.codes.OK or digest != one["checksum"] or len(body.content) != one["size_bytes"]:
            wrong.append(
                f"{name} is listed, and its bytes are {len(body.content)} of {one['size_bytes']} ({body.status_code})"
            )
    for name, known in kept.items():
        wrong += _of_one(name, known, listed.get(name))
    return Finding(
        invariant="no document is half-visible",
        figures={
            "listed": len(listed),
            "acknowledged": len(kept),
            "deleted": sum(one.deleted for one in kept.values()),
        },
        wrong=wrong,
    )


def _of_one(name: str, kept: Kept, listed: Mapping[str, Any] | None) -> list[str]:
    if kept.deleted:
        return [f"{name} was deleted, and is listed"] if listed is not None else []
    if listed is None:
        return [f"{name} was acknowledged, and is not listed"]
    told = []
    if listed["checksum"] != kept.digest:
        told.append(f"{name} has other bytes than those that were acknowledged")
    if int(listed["metadata"].get("revision", "0")) < kept.revision:
        told.append(f"{name} is shown with {listed['metadata']}, and revision {kept.revision} was acknowledged")
    return told


async def _documents(http: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    cursor = ""
    while True:
        answer = (await http.get("/documents", params={"limit": 1000, "cursor": cursor})).raise_for_status()
        for one in answer.json():
            yield one
        cursor = answer.headers.get("x-next-cursor", "")
        if not cursor:
            return


async def bytes_needed_and_no_more(bus: Bus, facts: Sequence[Recorded], *, within_s: float = 60.0) -> Finding:
    """The artifact store has what somebody needs, each with the digest it says, and nothing else.

    What nobody needs is freed after the document store's grace period, so it is waited for.
    """
    needed, left = _needed(facts), set[str]()

    async def only_needed() -> bool:
        nonlocal left
        left = await _kept_in_store(bus) - needed
        return not left and not await _unnamed_puts(bus)

    wrong = []
    try:
        await eventually(only_needed, within_s=within_s)
    except AssertionError:
        wrong = [f"bytes {one} are kept, and nobody needs them" for one in left]
        wrong += [f"the chunks of put {one} are kept, and no record names them" for one in await _unnamed_puts(bus)]
    blobs = Blobs(bus)
    for digest in needed:
        try:
            await blobs.get(digest)  # compares them with their digest
        except (LookupError, ValueError) as error:
            wrong.append(f"bytes {digest} are needed: {error}")
    return Finding(
        invariant="bytes that are needed are there, and no others", figures={"needed": len(needed)}, wrong=wrong
    )


def _needed(facts: Sequence[Recorded]) -> set[str]:
    """The digests that documents which are there have, and all that any other event has named."""
    of_documents_: dict[str, str] = {}
    named: set[str] = set()
    for one in facts:
        match one.event:
            case DocumentCreated(document_id=name, digest=digest):
                of_documents_[name] = digest
            case DocumentDeleted(document_id=name):
                of_documents_.pop(name, None)
            case event if subject_of(event).startswith(("bench.task.", "bench.flash.")):
                named |= set(_digests(msgspec.to_builtins(event)))
    return named | set(of_documents_.values())


def _digests(value: Any) -> Iterable[str]:
    """Every artifact's digest in an event."""
    if isinstance(value, dict):
        if isinstance(value.get("digest"), str) and len(value["digest"]) == _DIGEST_CHARS:
            yield value["digest"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _digests(one)


async def _kept_in_store(bus: Bus) -> set[str]:
    return {one.digest async for batch in Blobs(bus).named() for one in batch if not one.freed}


async def _unnamed_puts(bus: Bus) -> set[str]:
    objects = Objects(bus)
    unnamed = await objects.puts()
    async for batch in objects.records():
        unnamed -= {info.nuid for _, info in batch if not info.deleted}
    return unnamed


# Boards


def boards_as_their_jobs_say(
    facts: Sequence[Recorded],
    images: Mapping[str, bytes],
    devices: Mapping[str, Mapping[str, Any]],
    flashes: Mapping[str, tuple[Path, int]],
) -> Finding:
    """Each board holds what its last jobs say, or is marked as one that has to be flashed again.

    ``images`` are by job, ``devices`` as observability lists them by name, ``flashes`` where a board's flash lies and the offset in it.
    """
    known: dict[str, bytes | None] = dict.fromkeys(flashes, b"")
    jobs: defaultdict[str, int] = defaultdict(int)
    for one in facts:
        match one.event:
            case flash.FlashCompleted(device=name, job_id=job):
                known[name] = images[job]
                jobs["completed"] += 1
            case (
                flash.FlashFailed(device=name, job_id=job, flash_state=state)
                | flash.FlashCancelled(device=name, job_id=job, flash_state=state)
            ):
                jobs["failed or cancelled"] += 1
                if state != "untouched":
                    known[name] = images[job] if state == "complete" else None
    wrong = []
    for name, image in known.items():
        if devices[name]["needs_flash"] is not (image is None):
            wrong.append(f"{name} should{'' if image is None else ' not'} be marked: {devices[name]}")
        if image is not None:
            file, offset = flashes[name]
            if file.read_bytes()[offset : offset + len(image)] != image:
                wrong.append(f"{name} holds other bytes than its jobs say")
    return Finding(invariant="boards hold what their jobs say", figures={"boards": len(known), **jobs}, wrong=wrong)


# Processes


def nothing_runs_below(directory: Path) -> Finding:
    """No process that belongs to the lab in ``directory``, by its environment or by where it works, is left."""
    left = []
    for one in psutil.process_iter(["pid", "cmdline", "cwd", "environ", "status"]):
        told = [one.info["cwd"] or "", *(one.info["environ"] or {}).values()]
        if one.info["status"] != psutil.STATUS_ZOMBIE and any(str(directory) in word for word in told):
            left.append(f"{one.info['pid']}: {' '.join(one.info['cmdline'] or ())[:200]}")
    return Finding(invariant="no process is left", figures={"left": len(left)}, wrong=left)
