from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.events import catalog, codec
from benchwire.events.device import DeviceAttached
from benchwire.events.event import IllegalToken, token
from benchwire.events.flash import FlashRequested
from benchwire.events.session import MessageSent, SessionStarted, ToolReturned

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


def test_a_time_without_a_zone_is_utc_and_one_with_a_zone_is_turned_into_utc() -> None:
    naive = codec.decode(b'{"event_type":"session_start","session_id":"s","timestamp":"2026-01-17T12:00:00"}')
    zoned = codec.decode(b'{"event_type":"session_start","session_id":"s","timestamp":"2026-01-17T13:00:00+01:00"}')
    assert naive == zoned == SessionStarted(session_id="s", timestamp=AT)


def test_a_field_of_a_newer_writer_is_passed_over() -> None:
    body = b'{"event_type":"session_start","session_id":"s","timestamp":"2026-01-17T12:00:00Z","colour":"red"}'
    assert codec.decode(body) == SessionStarted(session_id="s", timestamp=AT)


def test_an_unknown_type_and_a_newer_version_are_kept_raw() -> None:
    assert codec.decode(b'{"event_type":"novelty"}') == codec.Unknown("novelty", 1, b'{"event_type":"novelty"}')
    body = codec.encode(SessionStarted(session_id="s", timestamp=AT))
    assert codec.decode(body, {codec.VERSION: "2"}) == codec.Unknown("session_start", 2, body)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"{}", b'{"event_type":7}', b'{"event_type":"message","session_id":1}']
)
def test_what_is_not_an_event_is_malformed(body: bytes) -> None:
    with pytest.raises(codec.Malformed):
        codec.decode(body)


def test_a_version_that_is_no_number_is_malformed() -> None:
    with pytest.raises(codec.Malformed, match="Bench-Event-Version"):
        codec.decode(b'{"event_type":"message"}', {codec.VERSION: "two"})


def test_a_filter_has_a_wildcard_for_each_field_that_is_not_given() -> None:
    assert catalog.filter_of(FlashRequested) == "bench.flash.*.*.requested"
    assert catalog.filter_of(FlashRequested, host="lab-1") == "bench.flash.lab-1.*.requested"
    assert catalog.aggregate_of(DeviceAttached, host="lab-1", device="b1") == "bench.device.lab-1.b1.*"


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = [codec.new_id() for _ in range(100)]
    assert made == sorted(made)


@given(st.text(max_size=140))
def test_a_token_is_one_word_of_a_subject_or_refused(text: str) -> None:
    try:
        subject = catalog.subject_of(SessionStarted(session_id=text, timestamp=AT))
    except IllegalToken:
        return
    assert subject.split(".") == ["bench", "session", token(text), "started"]
    assert not set(subject) & set(" \t\r\n*>")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4), json_values)
def test_whatever_json_a_tool_takes_and_gives_comes_back_as_it_was(
    taken: dict[str, object], given_back: object
) -> None:
    event = ToolReturned(timestamp=AT, session_id="s", tool_name="t", tool_input=taken, tool_output=given_back)
    assert codec.decode(codec.encode(event)) == event


def test_the_body_is_readable_as_it_travels() -> None:
    body = codec.encode(
        MessageSent(timestamp=AT, session_id="s", role="user", content=[{"type": "text", "text": "hi"}])
    )
    assert body.startswith(b'{"event_type":"message","timestamp":"2026-01-17T12:00:00Z","session_id":"s"')


def test_an_event_is_believed_where_it_travels_and_nowhere_else() -> None:
    event = SessionStarted(session_id="s", timestamp=AT)
    body = codec.encode(event)
    assert codec.decode(body, {}, "bench.session.s.started") == event
    for elsewhere in (
        "bench.session.other.started",
        "bench.session.s.ended",
        "bench.session.s",
        "bench.session.s.started.x",
        "",
    ):
        with pytest.raises(codec.Malformed, match="not where it travels"):
            codec.decode(body, {}, elsewhere)


def test_what_a_server_sent_somewhere_because_it_was_asked_to_is_no_event() -> None:
    body = codec.encode(SessionStarted(session_id="s", timestamp=AT))
    with pytest.raises(codec.Malformed, match="was not published there"):
        codec.decode(body, {codec.COPIED: "LIVE"}, "bench.session.s.started")
