"""A limit holds, on a clock of its own: over any transfer, and whatever becomes of the limit meanwhile."""

import io
import zlib
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchwire.flash_agent.tools.esp_writing import MOST_BYTES, joined, packed, plain
from benchwire.flash_agent.tools.throttle import CATCH_UP_S, MIN_STEP_BYTES, Throttle
from benchwire.flash_agent.tools.worker import Owner
from benchwire.flash_agent.tools.worker_protocol import At, Command, Paused, PauseDeferred, Saying, Throttled


class Line(NamedTuple):
    """How fast a line is, and how late a sleeper wakes up."""

    bytes_per_s: float
    late_s: float


def transfer(throttle: Throttle, line: Line, total_bytes: int, now_s: float, most: int = MOST_BYTES) -> float:
    """The time at which all is sent and paid for."""
    throttle.begin(now_s)
    while total_bytes:
        block = min(total_bytes, throttle.step_bytes(most))
        began_s = now_s
        now_s += block / line.bytes_per_s
        throttle.spend(block, began_s=began_s)
        if throttle.paid_s > now_s:
            now_s = throttle.paid_s + line.late_s
        total_bytes -= block
    return now_s


lines = st.builds(Line, st.floats(2e5, 1e7), st.floats(0, 0.02))


@settings(deadline=None)
@given(lines, st.integers(2_000, 100_000), st.floats(4.0, 60.0), st.sampled_from([1024, 4096, 16384, MOST_BYTES]))
def test_a_limit_holds_within_a_tenth_over_a_transfer(line: Line, rate: int, about_s: float, most: int) -> None:
    total_bytes = max(int(rate * about_s), 8 * MIN_STEP_BYTES)
    spent_s = transfer(Throttle(rate, now_s=7.0), line, total_bytes, 100.0, most) - 100.0
    assert total_bytes / spent_s == pytest.approx(rate, rel=0.1)


def test_a_transfer_that_waited_before_it_began_is_no_faster_for_that() -> None:
    throttle = Throttle(10_000, now_s=0.0)
    assert transfer(throttle, Line(1e9, 0), 10_000, 50.0) == pytest.approx(51.0)


def test_a_slow_line_is_not_made_slower() -> None:
    assert transfer(Throttle(100_000, now_s=0.0), Line(10_000, 0), 100_000, 0.0) == pytest.approx(10.0)


def test_what_a_stalled_block_took_is_made_up_for_a_little_only() -> None:
    throttle = Throttle(1000, now_s=0.0)
    throttle.spend(1000, began_s=60.0)
    assert throttle.paid_s == pytest.approx(61.0 - CATCH_UP_S)


def test_what_is_owed_is_paid_at_the_new_rate_and_nothing_without_a_limit() -> None:
    throttle = Throttle(1000, now_s=0.0)
    throttle.spend(4000, began_s=0.0)
    throttle.limit(2000, now_s=2.0)
    assert throttle.paid_s == pytest.approx(3.0 - CATCH_UP_S / 2, abs=0.2)
    throttle.limit(None, now_s=2.0)
    assert throttle.paid_s == 2.0
    assert throttle.step_bytes(MOST_BYTES) == MOST_BYTES


def test_blocks_get_smaller_with_the_limit_but_not_smaller_than_a_sector() -> None:
    assert Throttle(100_000, now_s=0).step_bytes(MOST_BYTES) == 25_000
    assert Throttle(10, now_s=0).step_bytes(MOST_BYTES) == MIN_STEP_BYTES
    assert Throttle(10, now_s=0).step_bytes(1024) == 1024  # of a ROM


class Heard:
    """An owner without a process, and what it said."""

    def __init__(self, max_bytes_per_s: int | None = None) -> None:
        self._says = io.BytesIO()
        self.now_s = 0.0
        self.owner = Owner(io.BytesIO(), self._says, max_bytes_per_s=max_bytes_per_s, clock=lambda: self.now_s)

    @property
    def said(self) -> list[Saying]:
        return [msgspec.json.decode(line, type=Saying) for line in self._says.getvalue().splitlines()]


def test_who_asks_for_a_pause_hears_at_once_when_it_cannot_begin_yet() -> None:
    heard = Heard()
    heard.owner.obey(Command("pause"))
    heard.owner.obey(Command("pause"))
    heard.owner.obey(Command("resume"))
    heard.owner.stage("erasing", until="the chip is erased")
    heard.owner.obey(Command("pause"))
    heard.owner.obey(Command("resume"))
    heard.owner.stage("writing", total_bytes=10)
    heard.owner.obey(Command("pause"))  # the next block is near
    heard.owner.obey(Command("resume"))
    with heard.owner.busy("the MD5 is there"):
        heard.owner.obey(Command("pause"))
    deferred = [(one.stage, one.until) for one in heard.said if isinstance(one, PauseDeferred)]
    assert deferred == [
        ("connecting", "the board has answered and the image is checked"),
        ("erasing", "the chip is erased"),
        ("writing", "the MD5 is there"),
    ]
    assert not any(isinstance(one, Paused) for one in heard.said)


def test_a_limit_is_answered_and_counts_from_then_on() -> None:
    heard = Heard()
    heard.owner.obey(Command("throttle", 1000))
    heard.owner.obey(Command("throttle", None))
    assert [one.max_bytes_per_s for one in heard.said if isinstance(one, Throttled)] == [1000, None]


def test_a_stage_that_comes_again_goes_on_where_it_was() -> None:
    heard = Heard()
    heard.owner.stage("writing", total_bytes=100)
    heard.now_s = 3.0
    heard.owner.progress(40)
    heard.owner.stage("erasing")
    heard.now_s = 5.0
    heard.owner.stage("writing", done_bytes=40, total_bytes=100)
    heard.now_s = 6.0
    heard.owner.progress(60)
    written = [(one.done_bytes, one.spent_s) for one in heard.said if isinstance(one, At) and one.stage == "writing"]
    assert written == [(0, 0.0), (40, 3.0), (40, 3.0), (60, 4.0)]


@settings(deadline=None)
@given(st.binary(max_size=20).flatmap(lambda seed: st.just(seed * 5000)), st.integers(1, 2_000_000))
def test_compressed_blocks_give_the_image_again_and_count_its_bytes(image: bytes, rate: int) -> None:
    owner = Heard(rate).owner
    blocks = list(joined(packed(image), owner, 16384))
    assert sum(block.image_bytes for block in blocks) == len(image)
    assert all(len(block.data) <= 16384 for block in blocks)
    assert all(block.image_bytes <= max(MIN_STEP_BYTES, rate // 4) for block in blocks)
    assert zlib.decompress(b"".join(block.data for block in blocks)) == image if image else not blocks


def test_plain_blocks_are_whole_for_a_rom_and_as_small_as_the_limit_wants_for_a_stub() -> None:
    image = bytes(range(256)) * 40
    rom = list(plain(image, Heard().owner, 1024, whole_blocks=True))
    assert {len(block.data) for block in rom} == {1024}
    assert sum(block.image_bytes for block in rom) == len(image)
    stub = list(plain(image, Heard(1000).owner, 16384, whole_blocks=False))
    assert [block.image_bytes for block in stub] == [4096, 4096, 2048]
    assert b"".join(block.data for block in stub) == image
