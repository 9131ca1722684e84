"""The sockets and streams of this service, and the shape of each frame: for the AsyncAPI document.

Frames are written elsewhere in ``wire``, as text; a contract test holds that what is written there is what stands here.
"""

from benchwire.events.asyncapi import Face
from benchwire.events.catalog import OBSERVABILITY
from benchwire.observability.wire.faces.flash import OF_JOBS
from benchwire.observability.wire.faces.reports import REPORTS
from benchwire.observability.wire.faces.serial import OF_A_BOARD, OF_LINES, SerialWrite
from benchwire.observability.wire.faces.sessions import OF_A_SESSION, OF_SESSIONS
from benchwire.observability.wire.faces.tasks import OF_A_TASK, Intervention
from benchwire.web.faces import QUERY, Ping

__all__ = ["FACES", "OF_A_BOARD", "OF_A_SESSION", "OF_A_TASK", "OF_JOBS", "OF_LINES", "OF_SESSIONS", "REPORTS"]

FACES = (
    Face(
        service=OBSERVABILITY, name="sessions", address="/ws", protocol="ws", sends=OF_SESSIONS, takes=(Ping,),
        what="Sessions and their events, and the facts of the whole lab, as they are committed.",
        query={
            "since": "replays what came after this `place` or `seq`", "session_id": "narrows to one session",
            "deltas": "`true`: with a `session_id`, also what its model says, as it says it", **QUERY,
        },
    ),
    Face(
        service=OBSERVABILITY, name="task", address="/ws/{task_id}", protocol="ws", sends=OF_A_TASK, takes=(Intervention, Ping),
        what="One task from its start, whenever the client comes.", query=QUERY,
    ),
    Face(
        service=OBSERVABILITY, name="flash_progress", address="/flash-progress", protocol="ws", sends=OF_JOBS, takes=(*REPORTS, Ping),
        what="Every flash job; first the state of those that run. Who has the scope `control` may report jobs of a flasher outside of the lab.",
        query={"host": "the name of the flasher that reports here; without one it is `outside`", **QUERY},
    ),
    Face(
        service=OBSERVABILITY, name="flash_progress_of_job", address="/flash-progress/{job_id}", protocol="ws", sends=OF_JOBS,
        takes=(*REPORTS, Ping), what="One flash job.", query=QUERY,
    ),
    Face(
        service=OBSERVABILITY, name="serial", address="/ws/serial", protocol="ws", sends=OF_LINES, takes=(Ping,),
        what="What boards print, from now on.", query=QUERY,
    ),
    Face(
        service=OBSERVABILITY, name="serial_of_device", address="/ws/serial/{device_id}", protocol="ws", sends=OF_A_BOARD,
        takes=(SerialWrite, Ping), what="What one board prints, from now on. Who has the scope `control` may write to it.",
        query={"host": "which one is meant, when boards of several hosts have that name", **QUERY},
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
