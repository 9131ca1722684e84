"""The sockets and streams of this service, and the shape of each frame: for the AsyncAPI document.

Frames are written elsewhere in ``wire``, as text; a contract test holds that what is written there is what stands here.
"""

from datetime import datetime
from typing import Any

import msgspec

from benchwire.events.asyncapi import Face
from benchwire.events.catalog import OBSERVABILITY
from benchwire.observability.wire.sessions import SessionView
from benchwire.web.faces import TOKEN, Ping, Pong

# Sessions


class Told(msgspec.Struct, kw_only=True, tag_field="type"):
    """A frame: ``seq`` is where in the log stands what it tells, and ``place`` also tells frames of one ``seq`` apart."""

    seq: int
    place: str


class InitFrame(Told, kw_only=True, tag="init"):
    """The first frame: the sessions there are."""

    sessions: list[SessionView]


class SessionEventFrame(Told, kw_only=True, tag="event"):
    """An event of a session: its own fields, with its place in the log as ``id``, and the ``session_name``."""

    data: dict[str, Any]


class FactFrame(Told, kw_only=True, tag="fact"):
    """A fact of the lab that belongs to no session, as it stands in the log."""

    data: dict[str, Any]


class SessionCreatedFrame(Told, kw_only=True, tag="session_created"):
    """A session that is new."""

    session: SessionView


class SessionUpdatedFrame(Told, kw_only=True, tag="session_updated"):
    """A session whose status or names changed."""

    session: SessionView


class SessionDeletedFrame(Told, kw_only=True, tag="session_deleted"):
    """A session that was deleted."""

    session_id: str


# Tasks


class TaskFrame(msgspec.Struct, kw_only=True):
    """A step of the task. ``type`` is one of TASK_STARTED, PLANNING_COMPLETE, GUIDANCE_ACCEPTED, MODULE_STARTED, MODULE_GENERATED,
    MODULE_COMPILED, MODULE_ITERATION, TEST_PASSED, MODULE_IMAGE_STORED, MODULE_DEPLOYING, MODULE_DEPLOYED, MODULE_COMPLETE, MODULE_FAILED,
    TASK_COMPLETE, TASK_FAILED and TASK_CANCELLED; ``data`` is its own.
    """

    type: str
    task_id: str
    timestamp: datetime
    seq: int
    data: dict[str, Any]


class Problem(msgspec.Struct, kw_only=True):
    """Why nothing can be done."""

    error: str


class TaskErrorFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="ERROR"):
    """What cannot be done with this task."""

    task_id: str
    data: Problem


class Intervention(msgspec.Struct, kw_only=True, tag_field="type", tag="INTERVENTION"):
    """Guidance for the next generation; without ``node_id`` for every node."""

    guidance: str
    node_id: str | None = None


# Boards; times are milliseconds since the epoch


class OfJob(msgspec.Struct, kw_only=True, tag_field="type", rename="camel"):
    """A frame about a flash job."""

    job_id: str
    device_id: str
    host: str
    timestamp: int


class FlashQueuedFrame(OfJob, kw_only=True, tag="flash_queued"):
    """The job waits for its device."""

    stage: str
    total_bytes: int


class FlashStartedFrame(OfJob, kw_only=True, tag="flash_started"):
    """The tool works on the board."""

    stage: str
    total_bytes: int


class FlashProgressFrame(OfJob, kw_only=True, tag="flash_progress"):
    """How far the job is: ``progress`` in percent, ``transferSpeed`` in bytes a second, ``estimatedTimeRemaining`` in seconds."""

    progress: float
    stage: str
    bytes_transferred: int
    total_bytes: int
    transfer_speed: float | None
    estimated_time_remaining: float | None


class FlashPausedFrame(OfJob, kw_only=True, tag="flash_paused"):
    """The job holds."""


class FlashResumedFrame(OfJob, kw_only=True, tag="flash_resumed"):
    """The job goes on."""


class FlashCompletedFrame(OfJob, kw_only=True, tag="flash_completed"):
    """The image is on the board and was verified; ``duration`` in seconds."""

    total_bytes: int
    duration: float


class FlashFailedFrame(OfJob, kw_only=True, tag="flash_failed"):
    """The job failed; ``flashState`` says what that left in the flash."""

    error: str
    code: str
    flash_state: str | None


class FlashCancelledFrame(OfJob, kw_only=True, tag="flash_cancelled"):
    """The job was ended on request; ``flashState`` says what that left in the flash."""

    flash_state: str | None
    reason: str | None


class FlashPongFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="pong"):
    """The answer to a ping."""

    timestamp: int


class FlashRefusedFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="error"):
    """What was sent is not taken."""

    error: str
    timestamp: int


class SerialLineFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="serial_line", rename="camel"):
    """A line that a board printed: its ``number``, and after which flash job."""

    device_id: str
    host: str
    line: str
    number: int
    job_id: str | None
    timestamp: int


OF_SESSIONS = (
    InitFrame,
    SessionEventFrame,
    FactFrame,
    SessionCreatedFrame,
    SessionUpdatedFrame,
    SessionDeletedFrame,
    Pong,
)
OF_A_SESSION = tuple(kind for kind in OF_SESSIONS if kind not in (FactFrame, Pong))
OF_A_TASK = (TaskFrame, TaskErrorFrame, Pong)
OF_JOBS = (
    FlashQueuedFrame, FlashStartedFrame, FlashProgressFrame, FlashPausedFrame, FlashResumedFrame, FlashCompletedFrame,
    FlashFailedFrame, FlashCancelledFrame, FlashPongFrame, FlashRefusedFrame,
)  # fmt: skip
OF_LINES = (SerialLineFrame, Pong)

FACES = (
    Face(
        service=OBSERVABILITY, name="sessions", address="/ws", protocol="ws", sends=OF_SESSIONS, takes=(Ping,),
        what="Sessions and their events, and the facts of the whole lab, as they are committed.",
        query={"since": "replays what came after this `place` or `seq`", "session_id": "narrows to one session", **TOKEN},
    ),
    Face(
        service=OBSERVABILITY, name="task", address="/ws/{task_id}", protocol="ws", sends=OF_A_TASK, takes=(Intervention, Ping),
        what="One task from its start, whenever the client comes.", query=TOKEN,
    ),
    Face(
        service=OBSERVABILITY, name="flash_progress", address="/flash-progress", protocol="ws", sends=OF_JOBS, takes=(Ping,),
        what="Every flash job; first the state of those that run.", query=TOKEN,
    ),
    Face(
        service=OBSERVABILITY, name="flash_progress_of_job", address="/flash-progress/{job_id}", protocol="ws", sends=OF_JOBS,
        takes=(Ping,), what="One flash job.", query=TOKEN,
    ),
    Face(
        service=OBSERVABILITY, name="serial", address="/ws/serial", protocol="ws", sends=OF_LINES, takes=(Ping,),
        what="What boards print, from now on.", query=TOKEN,
    ),
    Face(
        service=OBSERVABILITY, name="session_stream", address="/sessions/{session_id}/stream", protocol="sse", sends=OF_A_SESSION,
        what="One session as Server-Sent Events; the header `Last-Event-ID` resumes.",
        query={"since": "resumes after this id"},
    ),
    Face(
        service=OBSERVABILITY, name="task_log", address="/tasks/{task_id}/logs/stream", protocol="sse",
        what="The log of one task, from its beginning to its end, as Server-Sent Events.", text="A line: `[INFO] Task started`.",
    ),
)  # fmt: skip
