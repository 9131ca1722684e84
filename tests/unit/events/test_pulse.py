"""What silence says while one cannot announce himself."""

from benchwire.events.pulse import Pulse


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def beating(clock: Clock, *pauses_s: float) -> Pulse:
    pulse = Pulse(beat_s=1.0, forgotten_s=4.0, clock=clock)
    pulse.beat()
    for pause_s in pauses_s:
        clock.now_s += pause_s
        pulse.beat()
    return pulse


def test_who_never_announces_himself_has_no_say() -> None:
    assert Pulse(beat_s=1.0, forgotten_s=4.0).is_steady


def test_announcements_that_come_late_now_and_then_are_steady() -> None:
    assert beating(Clock(), 1.0, 1.9, 1.0).is_steady


def test_while_an_announcement_is_overdue_nothing_can_be_said() -> None:
    clock = Clock()
    pulse = beating(clock, 1.0)
    clock.now_s += 2.1
    assert not pulse.is_steady


def test_after_a_gap_others_get_as_long_as_it_takes_to_look_gone() -> None:
    clock = Clock()
    pulse = beating(clock, 6.0, 1.0, 1.0)
    assert not pulse.is_steady
    for _ in range(2):
        clock.now_s += 1.0
        pulse.beat()
    assert pulse.is_steady


def test_who_takes_his_announcement_back_has_no_say_any_more() -> None:
    pulse = beating(Clock(), 6.0)
    pulse.stop()
    assert pulse.is_steady


def test_silence_is_counted_from_the_last_announcement_and_anew_when_something_was_done_about_it() -> None:
    clock = Clock()
    pulse = beating(clock, 1.0)
    clock.now_s += 12.0
    assert pulse.silent_s == 12.0
    pulse.wait()
    clock.now_s += 3.0
    assert pulse.silent_s == 3.0
    assert not pulse.is_steady
