"""Subjects that one may listen to, and messages that cannot be read."""

import pytest

from benchwire.deploy.feed import IllegalSubject, checked, fact_filter, has_samples, heard, matches
from benchwire.deploy.tail import line
from benchwire.events import codec
from benchwire.events.live import SerialLine
from benchwire.events.testing.samples import AT, sample


@pytest.mark.parametrize("subject", ["bench.>", "live.serial.>", "bench.task.*.finished", ">", "*.flash.>"])
def test_subjects_of_the_lab_can_be_listened_to(subject: str) -> None:
    assert checked(subject) == subject


@pytest.mark.parametrize("subject", ["", "bench..x", "bench.>.x", "ask.host", "bench. x", "."])
def test_other_subjects_are_refused(subject: str) -> None:
    with pytest.raises(IllegalSubject):
        checked(subject)


@pytest.mark.parametrize(
    ("filter_", "subject", "falls_under"),
    [
        ("bench.>", "bench.task.t.finished", True),
        ("bench.>", "bench", False),
        ("bench.task.*.finished", "bench.task.t.finished", True),
        ("bench.task.*.finished", "bench.task.t.failed", False),
        ("bench.task.*", "bench.task.t.failed", False),
        (">", "live.task.t.log", True),
        ("bench.task.t.failed", "bench.task.t", False),
    ],
)
def test_filters_match_as_nats_does(filter_: str, subject: str, *, falls_under: bool) -> None:
    assert matches(filter_, subject) is falls_under


def test_several_fact_filters_become_the_one_over_all() -> None:
    assert fact_filter(["bench.task.>"]) == "bench.task.>"
    assert fact_filter(["bench.task.>", "bench.>"]) == "bench.>"
    assert fact_filter(["live.>"]) is None
    assert fact_filter([">"]) == "bench.>"


def test_samples_are_listened_to_only_when_asked_for() -> None:
    assert has_samples(["live.serial.>"])
    assert has_samples(["*.flash.>"])
    assert not has_samples(["bench.>"])


def test_an_event_is_one_line_with_who_what_and_facts() -> None:
    event = sample(SerialLine, host="lab", device="b", line="hello")
    told = line(heard("live.serial.lab.b.line", codec.encode(event), None, AT)).plain
    assert told.endswith("  serial lab/b  line  hello")


@pytest.mark.parametrize(
    "body", [b"{", b'{"event_type":"new_word","x":1}', b'{"event_type":"serial_line"}', b"\xff\x1b[2J"]
)
def test_a_body_that_cannot_be_read_is_shown_raw(body: bytes) -> None:
    told = heard("bench.new.x.y", body, None, AT)
    assert told.event is None
    text = line(told).plain
    assert "new x  y  (" in text
    assert text.isprintable()
