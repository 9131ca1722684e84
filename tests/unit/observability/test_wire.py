from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.events.event import Artifact, IllegalToken
from benchwire.events.flash import (
    FlashCompleted,
    FlashEvent,
    FlashFailed,
    FlashPauseRequested,
    FlashRequested,
    FlashStarted,
)
from benchwire.events.live import FlashProgress
from benchwire.events.session import MessageSent, SessionEnded, SessionStarted
from benchwire.observability.errors import Unusable
from benchwire.observability.queries import Shown
from benchwire.observability.wire import flash, sessions

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
AT_MS = 1_768_651_200_000
REFUSED = (msgspec.MsgspecError, Unusable, IllegalToken)


def test_a_hook_may_hold_more_than_anybody_knows_and_a_time_without_a_zone() -> None:
    body = b'{"event_type":"session_start","session_id":"s","timestamp":"2026-01-17T12:00:00","hook_event_name":"x","registered":true}'
    assert sessions.hook(body) == SessionStarted(timestamp=AT, session_id="s")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"event_type":"session_start","timestamp":"2026-01-17T12:00:00"}', "session_id"),
        (b'{"event_type":"nonsense","session_id":"s","timestamp":"2026-01-17T12:00:00"}', "event_type"),
        (b'{"event_type":"session_start","session_id":"s","timestamp":"yesterday"}', "timestamp"),
        (b'{"event_type":"session_start","session_id":"s","timestamp":"9999-12-31T23:59:59-01:00"}', "timestamp"),
        (b'{"event_type":"message","session_id":"s","timestamp":"2026-01-17T12:00:00","role":"cat","content":[]}', "role"),
        (b'{"event_type":"message","session_id":"s","timestamp":"2026-01-17T12:00:00","role":"user","content":"x"}', "content"),
        (b'{"event_type":"pre_tool","session_id":"s","timestamp":"2026-01-17T12:00:00","tool_name":"t","tool_input":[]}', "tool_input"),
        (b'{"event_type":"session_start","session_id":"a.b","timestamp":"2026-01-17T12:00:00"}', "session_id"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_hook_is_named(body: bytes, field: str) -> None:
    with pytest.raises(REFUSED, match=field):
        sessions.hook(body)


def test_a_hook_for_one_session_may_leave_the_id_out_and_must_not_name_another() -> None:
    body = b'{"event_type":"session_stop","timestamp":"2026-01-17T12:00:00","exit_code":1}'
    assert sessions.hook(body, "s") == SessionEnded(timestamp=AT, session_id="s", exit_code=1)
    with pytest.raises(Unusable, match="another one"):
        sessions.hook(body[:-1] + b',"session_id":"t"}', "s")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["session_id", "timestamp", "event_type", "role", "content", "tool_name", "tool_input", "exit_code"]
)


@given(st.binary(max_size=60) | st.dictionaries(FIELDS, JSON, max_size=8))
def test_whatever_is_posted_is_an_event_or_is_refused(body: bytes | dict[str, Any]) -> None:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    try:
        sessions.hook(raw)
    except REFUSED:
        return


@given(st.text(), JSON)
def test_an_event_is_shown_as_json_with_its_place_and_name(name: str, output: Any) -> None:
    try:
        body = msgspec.json.encode({"event_type": "post_tool", "tool_output": output}).decode()
        msgspec.json.encode(name)
    except (UnicodeEncodeError, OverflowError):
        return
    shown = msgspec.json.decode(sessions.event_json(Shown(7, "s", name, body)))
    assert (shown["id"], shown["session_name"], shown["event_type"]) == (7, name, "post_tool")


def frame(event: FlashEvent) -> dict[str, Any]:
    told = flash.fact_frame(event)
    assert told is not None
    decoded: dict[str, Any] = msgspec.json.decode(told)
    return decoded


def test_flash_frames_are_camel_case_with_milliseconds() -> None:
    started = FlashStarted(timestamp=AT, host="h", job_id="job_1", device="d", total_bytes=4096, driver="pyocd")
    assert frame(started) == {
        "type": "flash_started", "jobId": "job_1", "deviceId": "d", "host": "h", "stage": "Initializing", "totalBytes": 4096,
        "attempt": 1, "timestamp": AT_MS,
    }  # fmt: skip
    failed = FlashFailed(
        timestamp=AT, host="h", job_id="job_1", device="d", code="c", error="gone", flash_state="partial"
    )
    assert (frame(failed)["type"], frame(failed)["error"]) == ("flash_failed", "gone")
    done = FlashCompleted(
        timestamp=AT, host="h", job_id="job_1", device="d", total_bytes=1, duration_s=1.0, verified_by="crc"
    )
    assert frame(done)["type"] == "flash_completed"
    queued = FlashRequested(
        timestamp=AT,
        host="h",
        job_id="job_1",
        device="d",
        image=Artifact(digest="0", size_bytes=9, name="n"),
        address=0,
    )
    assert frame(queued)["type"] == "flash_queued"
    assert flash.fact_frame(FlashPauseRequested(timestamp=AT, host="h", job_id="job_1")) is None


@pytest.mark.parametrize(
    ("stage", "done", "progress"),
    [
        ("connecting", 0, 0.0),
        ("erasing", 50, 0.0),
        ("writing", 1024, 25.0),
        ("writing", 4096, 99.9),
        ("verifying", 10, 99.9),
        ("resetting", 0, 100.0),
        ("Writing system partition", 2048, 50.0),
    ],
)
def test_progress_is_of_what_is_written(stage: str, done: int, progress: float) -> None:
    sample = FlashProgress(
        timestamp=AT,
        host="h",
        job_id="job_1",
        device="d",
        stage=stage,
        done_bytes=done,
        total_bytes=4096 if done else 0,
    )
    told = msgspec.json.decode(flash.progress_frame(sample, 4096, flash.percent(sample, 4096)))
    assert (told["progress"], told["totalBytes"], told["stage"]) == (progress, 4096, stage)
    assert 0 <= told["bytesTransferred"] <= 4096


def test_a_message_is_taken_as_it_is() -> None:
    body = b'{"event_type":"message","session_id":"s","timestamp":"2026-01-17T12:00:00Z","role":"user","content":[{"type":"tool_use","id":1}]}'
    event = sessions.hook(body)
    assert isinstance(event, MessageSent)
    assert event.content == [{"type": "tool_use", "id": 1}]
