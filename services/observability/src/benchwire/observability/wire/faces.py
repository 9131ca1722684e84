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
    """The tool works on the board, for the first time or again."""

    stage: str
    total_bytes: int
    attempt: int


class FlashProgressFrame(OfJob, kw_only=True, tag="flash_progress"):
    """How far the job is: ``progress`` in percent, ``transferSpeed`` in bytes a second, ``estimatedTimeRemaining`` in seconds.

    Within one ``attempt`` the percentage never goes back, and it is 100 only once what was written is verified.
    """

    progress: float
    stage: str
    bytes_transferred: int
    total_bytes: int
    transfer_speed: float | None
    estimated_time_remaining: float | None
    attempt: int


class FlashPauseDeferredFrame(OfJob, kw_only=True, tag="flash_pause_deferred"):
    """The job cannot hold in this ``stage``; it will when ``until``: "the first block is written"."""

    stage: str
    until: str


class FlashPausedFrame(OfJob, kw_only=True, tag="flash_paused"):
    """The job holds."""


class FlashResumedFrame(OfJob, kw_only=True, tag="flash_resumed"):
    """The job goes on."""


class FlashThrottledFrame(OfJob, kw_only=True, tag="flash_throttled"):
    """The job writes no faster than that from now on; null is no limit."""

    max_bytes_per_s: int | None


class FlashRetriedFrame(OfJob, kw_only=True, tag="flash_retried"):
    """This ``attempt`` broke, and after ``wait`` seconds another follows, which begins with its own ``flash_started``."""

    attempt: int
    error: str
    code: str
    flash_state: str
    wait: float


class FlashCompletedFrame(OfJob, kw_only=True, tag="flash_completed"):
    """The image is on the board and was verified; ``duration`` in seconds, null when an outside flasher reports it."""

    total_bytes: int
    duration: float | None


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
    """A line that a board printed: its ``number``, and after which flash job.

    ``lostBytes`` were dropped right before it; ``data`` is base64 of the exact bytes when these are not UTF-8.
    """

    device_id: str
    host: str
    line: str
    number: int
    job_id: str | None
    timestamp: int
    lost_bytes: int
    data: str | None


class SerialWrite(msgspec.Struct, kw_only=True, tag_field="type", tag="write"):
    """Bytes for the board: ``text`` as UTF-8, or in ``hex`` or ``base64``; then ``end``, such as a line end."""

    text: str | None = None
    hex: str | None = None
    base64: str | None = None
    end: str = ""
    lease_id: str | None = None


class SerialWrittenFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="written", rename="camel"):
    """So many bytes were sent to the board."""

    device_id: str
    host: str
    written: int
    timestamp: int


class SerialRefusedFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="error"):
    """What was sent is not taken, or there is no such board."""

    error: str
    timestamp: int


# Reports of a flasher outside of the lab, which it sends


class OfReport(msgspec.Struct, kw_only=True, tag_field="type", rename="camel"):
    """What an outside flasher says of a job of its own; its own ``timestamp`` is passed over."""

    job_id: str
    device_id: str


class ReportStarted(OfReport, kw_only=True, tag="flash_started"):
    """It works on a board."""

    stage: str | None = None
    total_bytes: float | None = None


class ReportProgress(OfReport, kw_only=True, tag="flash_progress"):
    """How far it is. The percentage that is shown follows from the bytes; ``progress`` counts where there are none."""

    progress: float | None = None
    stage: str | None = None
    bytes_transferred: float | None = None
    total_bytes: float | None = None
    transfer_speed: float | None = None
    estimated_time_remaining: float | None = None


class ReportPaused(OfReport, kw_only=True, tag="flash_paused"):
    """It holds."""


class ReportResumed(OfReport, kw_only=True, tag="flash_resumed"):
    """It goes on."""


class ReportCompleted(OfReport, kw_only=True, tag="flash_completed"):
    """It is done."""


class ReportFailed(OfReport, kw_only=True, tag="flash_failed"):
    """It failed, and why."""

    error: str | None = None


class ReportCancelled(OfReport, kw_only=True, tag="flash_cancelled"):
    """It was ended."""

    reason: str | None = None


REPORTS = (
    ReportStarted, ReportProgress, ReportPaused, ReportResumed, ReportCompleted, ReportFailed, ReportCancelled
)  # fmt: skip
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
    FlashQueuedFrame, FlashStartedFrame, FlashProgressFrame, FlashPauseDeferredFrame, FlashPausedFrame, FlashResumedFrame,
    FlashThrottledFrame, FlashRetriedFrame, FlashCompletedFrame, FlashFailedFrame, FlashCancelledFrame, FlashPongFrame, FlashRefusedFrame,
)  # fmt: skip
OF_LINES = (SerialLineFrame, Pong)
OF_A_BOARD = (SerialLineFrame, SerialWrittenFrame, SerialRefusedFrame, Pong)

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
        service=OBSERVABILITY, name="flash_progress", address="/flash-progress", protocol="ws", sends=OF_JOBS, takes=(*REPORTS, Ping),
        what="Every flash job; first the state of those that run. Who has the scope `control` may report jobs of a flasher outside of the lab.",
        query={"host": "the name of the flasher that reports here; without one it is `outside`", **TOKEN},
    ),
    Face(
        service=OBSERVABILITY, name="flash_progress_of_job", address="/flash-progress/{job_id}", protocol="ws", sends=OF_JOBS,
        takes=(*REPORTS, Ping), what="One flash job.", query=TOKEN,
    ),
    Face(
        service=OBSERVABILITY, name="serial", address="/ws/serial", protocol="ws", sends=OF_LINES, takes=(Ping,),
        what="What boards print, from now on.", query=TOKEN,
    ),
    Face(
        service=OBSERVABILITY, name="serial_of_device", address="/ws/serial/{device_id}", protocol="ws", sends=OF_A_BOARD,
        takes=(SerialWrite, Ping), what="What one board prints, from now on. Who has the scope `control` may write to it.",
        query={"host": "which one is meant, when boards of several hosts have that name", **TOKEN},
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
