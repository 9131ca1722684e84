"""What a capture keeps, and when it has enough."""

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchwire.events.event import Artifact
from benchwire.events.patterns import BadPattern
from benchwire.events.serial import CaptureFailed, CaptureFinished, CaptureRequested, CaptureStopRequested
from benchwire.events.testing.samples import AT
from benchwire.flash_agent import capture, spool
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


def test_limits_that_are_out_of_bounds_in_the_log_are_taken_for_the_bound() -> None:
    endless = capture.bounded(replace(ASKED, for_s=1e300, max_bytes=2**62))
    assert (endless.for_s, endless.max_bytes) == (86_400, 1 << 30)
    assert not capture.is_too_late(endless, AT, AT + timedelta(hours=24))
    nothing = capture.bounded(replace(ASKED, for_s=-1.0, max_bytes=-1))
    assert (nothing.for_s, nothing.max_bytes) == (0.0, 1)


def test_a_spool_leaves_nothing_behind_also_of_a_note_that_could_not_be_written(tmp_path: Path) -> None:
    one = spool.Spool(tmp_path, spool.Note(ASKED))
    one.begin()
    (tmp_path / "cap_1.new").touch()  # as a full disk leaves it
    one.remove()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "cap_2.new").touch()
    assert spool.left_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
