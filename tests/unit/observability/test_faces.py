"""Frames are written as text in several rooms; here they are held against the shapes that clients are promised."""

from datetime import UTC, datetime
from typing import Any, cast, get_args

import msgspec
import pytest

from benchwire.events.event import Event
from benchwire.events.flash import FlashEvent, FlashReported
from benchwire.events.live import FlashProgress, SerialLine, SessionDelta
from benchwire.events.log import Recorded
from benchwire.events.task import TaskEvent
from benchwire.events.testing.samples import AT, sample
from benchwire.observability.queries import Row, Shown
from benchwire.observability.session import Session
from benchwire.observability.wire import faces, flash, frames, serial, sessions, tasks
from benchwire.observability.wire.faces.tasks import TaskFrame

JOB: Any = {
    "job_id": "job-1",
    "device": "esp-1",
    "host": "lab-1",
    "total_bytes": 100,
    "status": "paused",
    "attempt": 1,
    "started_at": "2026-01-17T12:00:00Z",
}
NOW = datetime(2026, 1, 17, tzinfo=UTC)


def fits(frame: str, kinds: tuple[type[msgspec.Struct], ...]) -> None:
    """``frame`` is one of ``kinds``, with every field that is promised and no other."""
    written: dict[str, Any] = msgspec.json.decode(frame)
    for kind in sorted(kinds, key=lambda one: one.__struct_config__.tag is None):  # a tag of its own goes first
        tag = kind.__struct_config__.tag
        if tag in (None, written["type"]):
            again = msgspec.to_builtins(msgspec.json.decode(frame, type=kind))
            assert set(again) == set(written), kind
            return
    pytest.fail(f"no frame {written['type']} is promised")


@pytest.mark.parametrize("kind", get_args(TaskEvent), ids=lambda kind: kind.__name__)
def test_what_is_told_of_a_task(kind: type[Event]) -> None:
    for frame in tasks.frames(sample(kind), 7, succeeded=1):
        fits(frame, faces.OF_A_TASK)
        assert msgspec.json.decode(frame)["type"] in (TaskFrame.__doc__ or "")


@pytest.mark.parametrize("kind", get_args(FlashEvent), ids=lambda kind: kind.__name__)
def test_what_is_told_of_a_flash_job(kind: type[Event]) -> None:
    frame = flash.fact_frame(sample(kind))  # type: ignore[arg-type]
    if frame is not None:
        fits(frame, faces.OF_JOBS)


@pytest.mark.parametrize("status", ["queued", "started", "paused", "resumed", "completed", "failed", "cancelled"])
def test_what_is_told_of_a_job_that_an_outside_flasher_reports(status: str) -> None:
    for unsaid in ({}, {"stage": None, "total_bytes": None, "error": None}):
        frame = flash.fact_frame(cast("FlashReported", sample(FlashReported, status=status, **unsaid)))
        assert frame is not None
        assert msgspec.json.decode(frame)["type"] == f"flash_{status}"
        fits(frame, faces.OF_JOBS)


def test_what_is_told_of_samples_and_pings_and_of_those_that_come_late() -> None:
    fits(flash.progress_frame(cast("FlashProgress", sample(FlashProgress)), 100, 50.0), faces.OF_JOBS)
    line = serial.serial_frame(cast("SerialLine", sample(SerialLine)))
    fits(line, faces.OF_LINES)
    for frame in (line, frames.refused("no", NOW), serial.written_frame(Row(JOB), 3, NOW)):
        fits(frame, faces.OF_A_BOARD)
    for frame in (
        frames.pong(NOW),
        frames.refused("no", NOW),
        flash.paused_frame(JOB),
        *flash.standing_frames(JOB),
    ):
        fits(frame, faces.OF_JOBS)
    fits(tasks.error_frame("t-1", "there is no task"), faces.OF_A_TASK)


def test_what_is_told_of_sessions() -> None:
    session = Session(session_id="s-1", created_at="2026-01-17T12:00:00Z", modified_at="2026-01-17T12:00:00Z")
    listed = msgspec.json.encode(sessions.view(session)).decode()
    shown = Shown(sequence=3, session_id="s-1", session_name="s-1", body='{"event_type":"message","session_id":"s-1"}')
    fact = Recorded(sequence=3, id="x", event=sample(get_args(FlashEvent)[0]), received_at=AT)
    told = [
        sessions.init_frame(listed, 3), sessions.event_frame(shown), sessions.fact_frame(fact), sessions.created_frame(session, 3),
        sessions.updated_frame(session, 3), sessions.deleted_frame("s-1", 3),
    ]  # fmt: skip
    for frame in told:
        fits(frame.text, faces.OF_SESSIONS)
    fits(sessions.delta_frame(SessionDelta(timestamp=AT, session_id="s-1", text="Hel")), faces.OF_SESSIONS)
    assert {frame.kind for frame in told} | {"pong", "delta"} == {
        str(kind.__struct_config__.tag) for kind in faces.OF_SESSIONS
    }
