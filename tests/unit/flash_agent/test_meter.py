"""Progress never goes back and never comes too often."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from benchwire.events.live import FlashProgress
from benchwire.flash_agent.commands import Names
from benchwire.flash_agent.meter import PERIOD_S, Meter
from benchwire.flash_agent.tools.worker_protocol import STAGES, At

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
OF = Names(host="lab-1", job_id="job_1", device="board-1")


def at(stage: str, done_bytes: int = 0, total_bytes: int = 0) -> At:
    return At(flash_state="partial", stage=stage, done_bytes=done_bytes, total_bytes=total_bytes)  # type: ignore[arg-type]


def told(meter: Meter, now_s: float) -> FlashProgress | None:
    return meter.due(now_s=now_s, now=NOW)


def test_of_what_came_meanwhile_the_newest_is_told() -> None:
    meter = Meter(OF)
    for done_bytes in (10, 20, 30):
        meter.heard(at("writing", done_bytes, 100), now_s=1.0)
    sample = told(meter, 1.0)
    assert sample is not None
    assert (sample.stage, sample.done_bytes, sample.total_bytes) == ("writing", 30, 100)
    assert told(meter, 2.0) is None


def test_a_measured_stage_is_told_however_short_it_was() -> None:
    meter = Meter(OF)
    meter.heard(at("connecting"), now_s=0.0)
    meter.heard(at("erasing"), now_s=0.01)
    meter.heard(at("writing", 100, 100), now_s=0.02)
    meter.heard(at("verifying"), now_s=0.03)
    meter.heard(at("resetting"), now_s=0.04)
    samples = [told(meter, number * PERIOD_S) for number in range(3)]
    assert [sample.stage for sample in samples if sample] == ["writing", "resetting"]


def test_speed_and_what_is_left_are_of_the_stage() -> None:
    meter = Meter(OF)
    meter.heard(at("writing", 0, 1000), now_s=10.0)
    meter.heard(at("writing", 250, 1000), now_s=12.0)
    sample = told(meter, 12.0)
    assert sample is not None
    assert (sample.speed_bytes_per_s, sample.remaining_s) == (125.0, 6.0)


steps = st.tuples(st.sampled_from(STAGES), st.integers(0, 100), st.floats(0.0, 0.3))


@settings(deadline=None)
@given(st.lists(steps, max_size=40))
def test_whatever_a_tool_says_samples_go_forward_and_keep_their_distance(said: list[tuple[str, int, float]]) -> None:
    meter, now_s, sent_s, samples = Meter(OF), 0.0, float("-inf"), []
    for stage, done_bytes, pause_s in said:
        meter.heard(at(stage, done_bytes, 100), now_s=now_s)
        if (sample := told(meter, now_s)) is not None:
            assert now_s - sent_s >= PERIOD_S - 0.001
            sent_s = now_s
            samples.append((list(map(str, STAGES)).index(sample.stage), sample.done_bytes))
        now_s += pause_s
    assert samples == sorted(samples)
