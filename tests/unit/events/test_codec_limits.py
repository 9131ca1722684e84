"""What a JSON reader stumbles over beside wrong types: found by posting such bodies to a service, where one stopped every projection."""

import pytest

from benchwire.events import codec

HEAD = b'{"event_type":"post_tool","session_id":"s","tool_name":"t","timestamp":"2026-01-17T12:00:00Z","tool_output":'


@pytest.mark.parametrize(
    "body",
    [
        b'{"event_type":"session_start","session_id":"s","timestamp":"9999-12-31T23:59:59-01:00"}',
        b'{"event_type":"session_start","session_id":"s","timestamp":"0001-01-01T00:00:00+10:00"}',
        HEAD + b"[" * 100_000 + b"]" * 100_000 + b"}",
        HEAD + b"1e999}",
    ],
    ids=["after-the-calendar", "before-the-calendar", "nested-without-end", "number-without-end"],
)
def test_a_body_of_a_known_type_that_nobody_can_hold_is_malformed_and_not_a_crash(body: bytes) -> None:
    with pytest.raises(codec.Malformed):
        codec.decode(body)


def test_a_body_that_is_nested_without_end_and_has_no_type_is_malformed_too() -> None:
    with pytest.raises(codec.Malformed):
        codec.decode(b"[" * 100_000)
