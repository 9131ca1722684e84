"""Progress never goes back and never comes too often."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchwire.events.live import FlashProgress
from benchwire.flash_agent.commands import Names
from benchwire.flash_agent.meter import PERIOD_S, Meter, Speed
from benchwire.flash_agent.tools.worker_protocol import STAGES, At

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
OF = Names(host="lab-1", job_id="job_1", device="board-1")


def at(stage: str, done_bytes: int = 0, total_bytes: int = 0, spent_s: float = 0.0) -> At:
    return At(flash_state="partial", stage=stage, done_bytes=done_bytes, total_bytes=total_bytes, spent_s=spent_s)  # type: ignore[arg-type]


def told(meter: Meter, now_s: float) -> FlashProgress | None:
    return meter.due(now_s=now_s, now=NOW)


def test_of_what_came_meanwhile_the_newest_is_told() -> None:
    meter = Meter(OF)
    for done_bytes in (10, 20, 30):
        meter.heard(at("writing", done_bytes, 100))
    sample = told(meter, 1.0)
    assert sample is not None
    assert (sample.stage, sample.done_bytes, sample.total_bytes) == ("writing", 30, 100)
    assert told(meter, 2.0) is None


def test_each_stage_is_told_however_short_it_was() -> None:
    meter = Meter(OF, attempt=3)
    for stage in STAGES:
        meter.heard(at(stage))
    samples = [told(meter, number * PERIOD_S) for number in range(len(STAGES))]
    assert [sample.stage for sample in samples if sample] == list(STAGES)
    assert {sample.attempt for sample in samples if sample} == {3}


def test_a_stage_that_the_tool_goes_back_to_is_not_told() -> None:
    """A ROM erases for each image of several, right before it writes it."""
    meter = Meter(OF)
    meter.heard(at("writing", 40, 100))
    meter.heard(at("erasing"))
    meter.heard(at("writing", 40, 100))
    assert [sample.stage for number in range(3) if (sample := told(meter, float(number)))] == ["writing"]


def test_speed_and_what_is_left_are_of_the_time_that_the_tool_worked() -> None:
    meter = Meter(OF)
    meter.heard(at("writing", 0, 1000))
    meter.heard(at("writing", 250, 1000, spent_s=2.0))
    sample = told(meter, 600.0)  # it was held for ten minutes, which is no time of the tool
    assert sample is not None
    assert (sample.speed_bytes_per_s, sample.remaining_s) == (125.0, 6.0)


def test_the_speed_follows_a_change_within_some_seconds_and_no_single_block() -> None:
    speed, done_bytes, spent_s = Speed(), 0, 0.0
    for _ in range(100):
        done_bytes, spent_s = done_bytes + 1000, spent_s + 0.1
        speed.moved(done_bytes, spent_s)
    assert speed.bytes_per_s == pytest.approx(10_000)
    speed.moved(done_bytes + 1000, spent_s + 0.01)  # one block ten times as quick
    assert speed.bytes_per_s == pytest.approx(10_000, rel=0.1)
    for number in range(1, 61):  # six seconds at a tenth
        speed.moved(done_bytes + 1000 + number * 100, spent_s + 0.01 + number * 0.1)
    assert speed.bytes_per_s == pytest.approx(1000, rel=0.6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0.001, 5.0)), min_size=1, max_size=30))
def test_a_speed_lies_between_the_slowest_and_the_quickest_block(blocks: list[tuple[int, float]]) -> None:
    speed, done_bytes, spent_s = Speed(), 0, 0.0
    for size_bytes, took_s in blocks:
        done_bytes, spent_s = done_bytes + size_bytes, spent_s + took_s
        speed.moved(done_bytes, spent_s)
    rates = [size_bytes / took_s for size_bytes, took_s in blocks]
    assert min(rates) * 0.999 <= speed.bytes_per_s <= max(rates) * 1.001


steps = st.tuples(st.sampled_from(STAGES), st.integers(0, 100), st.floats(0.0, 0.3))


@settings(deadline=None)
@given(st.lists(steps, max_size=40))
def test_whatever_a_tool_says_samples_go_forward_and_keep_their_distance(said: list[tuple[str, int, float]]) -> None:
    meter, now_s, sent_s, samples = Meter(OF), 0.0, float("-inf"), []
    for stage, done_bytes, pause_s in said:
        meter.heard(at(stage, done_bytes, 100, spent_s=now_s))
        if (sample := told(meter, now_s)) is not None:
            assert now_s - sent_s >= PERIOD_S - 0.001
            sent_s = now_s
            samples.append((list(map(str, STAGES)).index(sample.stage), sample.done_bytes))
        now_s += pause_s
    assert samples == sorted(samples)
