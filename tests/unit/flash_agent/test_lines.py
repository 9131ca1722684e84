"""Bytes of a serial port to lines, and lines that come faster than they can be sent."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from benchwire.flash_agent.lines import Backlog, LineSplitter, Printed, Waiting, sample_of

AT = datetime(2026, 1, 17, 12, tzinfo=UTC)
LATER = AT + timedelta(seconds=3)


def fed(splitter: LineSplitter, data: bytes, at: datetime = AT) -> list[bytes]:
    return [line.data for line in splitter.feed(data, at)]


def test_a_line_comes_when_its_end_comes() -> None:
    splitter = LineSplitter()
    assert fed(splitter, b"BO") == []
    assert splitter.partial == b"BO"
    assert fed(splitter, b"OT\r") == []
    assert fed(splitter, b"\n\r\nnext") == [b"BOOT", b""]
    assert splitter.flush() == Printed(b"next", AT)
    assert splitter.flush() is None


def test_a_line_has_the_time_of_its_first_byte() -> None:
    splitter = LineSplitter()
    splitter.feed(b"one\ntw", AT)
    assert splitter.feed(b"o\nthree\nfo", LATER) == [Printed(b"two", AT), Printed(b"three", LATER)]
    assert splitter.flush() == Printed(b"fo", LATER)


def test_bytes_that_are_not_utf_8_are_shown_as_what_they_are_and_kept() -> None:
    line = Waiting(Printed(b"ok \xff\x80 \xc3\xa4", AT), 7, "job_1", 12)
    sample = sample_of(line, host="h", device="d")
    assert (sample.line, sample.data) == ("ok \\xff\\x80 ä", b"ok \xff\x80 \xc3\xa4")
    assert (sample.timestamp, sample.number, sample.job_id, sample.lost_bytes) == (AT, 7, "job_1", 12)
    plain = sample_of(Waiting(Printed("ä".encode(), AT), 1, None, 0), host="h", device="d")
    assert (plain.line, plain.data) == ("ä", None)


def test_a_line_without_end_comes_in_pieces() -> None:
    splitter = LineSplitter(max_line_bytes=4)
    assert fed(splitter, b"123456789") == [b"1234", b"5678"]
    assert fed(splitter, b"\n") == [b"9"]
    assert fed(splitter, b"abcdef\n") == [b"abcd", b"ef"]
    assert fed(splitter, b"abcd\r") == []
    assert fed(splitter, b"\n") == [b"abcd"]


def test_a_piece_ends_between_characters() -> None:
    splitter = LineSplitter(max_line_bytes=4)
    assert fed(splitter, "aää€x\n".encode()) == ["aä".encode(), "ä".encode(), "€x".encode()]
    assert fed(splitter, b"\x80" * 6 + b"\n") == [b"\x80" * 4, b"\x80" * 2], "not UTF-8 at all"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=12))
def test_how_the_bytes_arrive_makes_no_difference(pieces: list[bytes]) -> None:
    together, apart = LineSplitter(), LineSplitter()
    expected = fed(together, b"".join(pieces))
    assert [line for piece in pieces for line in fed(apart, piece)] == expected
    assert apart.flush() == together.flush()


# Lines that wait


def test_when_too_much_waits_the_oldest_lines_go_and_the_next_one_tells() -> None:
    backlog = Backlog(limit_lines=8)
    backlog.put([Printed(b"%d" % number, AT) for number in range(1, 10)], "job")
    taken = backlog.take(100)
    assert [(one.number, one.printed.data, one.lost_bytes) for one in taken] == [
        (4, b"4", 3), (5, b"5", 0), (6, b"6", 0), (7, b"7", 0), (8, b"8", 0), (9, b"9", 0)
    ]  # fmt: skip


def test_what_could_not_be_sent_keeps_its_place() -> None:
    backlog = Backlog()
    backlog.put([Printed(b"%d" % number, AT) for number in range(5)], None)
    backlog.put_back(backlog.take(3)[1:])
    assert [one.number for one in backlog.take(100)] == [2, 3, 4, 5]


def test_what_the_driver_lost_is_told_with_the_next_line() -> None:
    backlog = Backlog()
    backlog.lose(5)
    backlog.lose(2)
    backlog.put([Printed(b"a", AT), Printed(b"b", AT)], None)
    assert [one.lost_bytes for one in backlog.take(2)] == [7, 0]


class Flood:
    """Lines come and are sent by turns; what is sent, put back and dropped must add up."""

    def __init__(self) -> None:
        self.backlog = Backlog(limit_bytes=300, limit_lines=12)
        self.sent: list[Waiting] = []
        self.put_bytes = self.count = 0

    def put(self, sizes: list[int]) -> None:
        self.backlog.put([Printed(b"x" * size, AT) for size in sizes], None)
        self.put_bytes += sum(sizes)
        self.count += len(sizes)

    def send(self, most: int, fails: int) -> None:
        lines = self.backlog.take(most)
        reached = max(0, len(lines) - fails)
        self.sent += lines[:reached]
        self.backlog.put_back(lines[reached:])


@settings(deadline=None)
@given(st.lists(st.one_of(st.lists(st.integers(0, 90), max_size=20), st.tuples(st.integers(0, 9), st.integers(0, 9)))))
def test_received_and_lost_are_all_that_was_printed_and_in_order(steps: list[list[int] | tuple[int, int]]) -> None:
    flood = Flood()
    for step in steps:
        flood.send(*step) if isinstance(step, tuple) else flood.put(step)
    flood.backlog.put([Printed(b"", AT)], None)  # so that a loss at the very end is told, too
    flood.send(10_000, 0)
    numbers = [one.number for one in flood.sent]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == flood.count + 1
    assert sum(len(one.printed.data) + one.lost_bytes for one in flood.sent) == flood.put_bytes
