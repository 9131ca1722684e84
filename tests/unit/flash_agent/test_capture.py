"""What a capture keeps, and when it has enough."""

from datetime import timedelta

import pytest

from benchwire.events.event import Artifact
from benchwire.events.patterns import BadPattern
from benchwire.events.serial import CaptureFailed, CaptureFinished, CaptureRequested, CaptureStopRequested
from benchwire.events.testing.samples import AT
from benchwire.flash_agent import capture
from benchwire.flash_agent.capture import NEW, Collector

ASKED = CaptureRequested(
    timestamp=AT, host="h", capture_id="cap_1", device="d", for_s=10.0, max_bytes=10, until="PASS$", tags=["boot"]
)
BYTES = Artifact(digest="0" * 64, size_bytes=3, name="x")


def test_bytes_are_kept_up_to_the_limit_and_not_beyond() -> None:
    collector = Collector(ASKED)
    collector.hear(b"12345", 0, AT)
    assert (collector.reason, collector.take()) == (None, b"12345")
    collector.hear(b"6789abc", 4, AT)
    assert collector.reason == "the limit of 10 bytes was reached"
    collector.hear(b"more", 0, AT)
    assert (collector.take(), collector.lost_bytes) == (b"6789a", 4)


def test_a_line_that_matches_ends_it_also_before_it_has_an_end_itself() -> None:
    for pieces in ((b"TE", b"ST PASS"), (b"a\nPASS\r\nb",), (b"PASS\n",)):
        collector = Collector(ASKED)
        for piece in pieces:
            collector.hear(piece, 0, AT)
        assert collector.reason == "a line matched"
    collector = Collector(ASKED)
    collector.hear(b"PASSED\n", 0, AT)
    assert collector.reason is None


def test_what_the_disk_is_too_slow_for_is_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "MAX_BUFFER_BYTES", 6)
    collector = Collector(ASKED)
    for piece in (b"1234", b"5678", b"90"):
        collector.hear(piece, 0, AT)
    assert (collector.take(), collector.lost_bytes) == (b"123490", 4)


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(BadPattern):
        Collector(CaptureRequested(timestamp=AT, host="h", capture_id="c", device="d", for_s=1, max_bytes=1, until="("))


def test_a_capture_ends_once() -> None:
    ended = capture.finish(NEW, ASKED, BYTES, lost_bytes=1, reason="over", now=AT)
    assert isinstance(ended, CaptureFinished)
    assert (ended.capture_id, ended.tags, ended.lost_bytes) == ("cap_1", ["boot"], 1)
    over = capture.evolve(capture.evolve(NEW, ASKED), ended)
    assert over.is_over
    assert capture.finish(over, ASKED, BYTES, lost_bytes=0, reason="again", now=AT) is None
    assert capture.fail(over, ASKED, reason="again", now=AT) is None
    assert isinstance(capture.fail(NEW, ASKED, reason="no disk", now=AT), CaptureFailed)
    assert capture.evolve(NEW, CaptureStopRequested(timestamp=AT, host="h", capture_id="cap_1")).stop_asked


def test_a_request_that_nobody_took_in_its_time_is_too_late() -> None:
    assert not capture.is_too_late(ASKED, AT, AT + timedelta(seconds=30))
    assert capture.is_too_late(ASKED, AT, AT + timedelta(seconds=100))


def test_a_file_is_called_after_its_board_and_time() -> None:
    assert capture.name_of(ASKED) == f"d-{AT:%Y%m%dT%H%M%SZ}.log"
