"""Every event has a sentence, on one line, and nothing that comes from outside takes over the terminal."""

import pytest

from benchwire.deploy.story import first_problem, sentence, shown, size
from benchwire.events.event import Event
from benchwire.events.flash import FlashCompleted, FlashRequested
from benchwire.events.live import SerialLine
from benchwire.events.task import AssertionResult, NodeCompiled, NodeRetried, NodeSimulated, TaskFailed
from benchwire.events.testing.samples import sample, samples


@pytest.mark.parametrize("event", samples(), ids=lambda one: str(type(one).__name__))
def test_every_event_is_told_on_one_printable_line(event: Event) -> None:
    told = sentence(event)
    assert told.isprintable()
    assert len(told) < 400


def test_an_event_of_no_kind_is_an_error_of_the_program() -> None:
    class Stranger(Event, frozen=True, kw_only=True, tag="stranger"):
        pass

    with pytest.raises(TypeError, match="Stranger"):
        sentence(sample(Stranger))


def test_a_failed_build_is_told_by_its_first_error() -> None:
    diagnostics = "main.c: In function 'main':\nmain.c:9:1: warning: unused\nmain.c:14:24: error: expected ';'\n"
    event = sample(NodeCompiled, node_id="n", iteration=1, ok=False, diagnostics=diagnostics)
    assert sentence(event) == "n: try 1: does not build: main.c:14:24: error: expected ';'"


def test_a_build_is_told_with_its_sizes_and_limits() -> None:
    event = sample(
        NodeCompiled, node_id="n", iteration=2, ok=True, flash_bytes=1116, flash_limit_bytes=1 << 20, ram_bytes=4096, ram_limit_bytes=131072
    )  # fmt: skip
    assert sentence(event) == "n: try 2: builds, flash 1.1 KiB of 1 MiB, RAM 4 KiB of 128 KiB"


def test_a_simulation_tells_which_required_assertion_was_missed() -> None:
    missed = AssertionResult(name="passes", passed=False, detail="'PASS' was not seen")
    held = AssertionResult(name="boots", passed=True)
    event = sample(
        NodeSimulated, node_id="n", iteration=1, outcome="timeout", assertions=[held, missed], simulator_error=""
    )
    assert sentence(event) == "n: try 1: timeout, 1 of 2 assertions hold, passes: 'PASS' was not seen"


def test_a_retry_tells_what_follows_an_announcing_first_line() -> None:
    event = sample(
        NodeRetried, node_id="n", iteration=2, stage="assert", feedback="It failed:\n- 'PASS' was not seen\nmore"
    )
    assert sentence(event) == "n: try 2 ended at assert; It failed: - 'PASS' was not seen"


def test_flash_jobs_are_told_with_size_place_and_proof() -> None:
    requested = sample(FlashRequested, device="b", address=0x08000000)
    assert sentence(requested) == "7 B onto b at 0x08000000"
    completed = sample(FlashCompleted, device="b", total_bytes=2048, duration_s=1.25, verified_by="reading back")
    assert sentence(completed) == "b, 2 KiB in 1.2 s, verified by reading back"


def test_what_a_board_prints_cannot_take_over_the_terminal() -> None:
    assert sentence(sample(SerialLine, line="\x1b[2Jgone\x07")) == r"\x1b[2Jgone\x07"


def test_a_lone_surrogate_is_shown_escaped() -> None:
    assert sentence(sample(TaskFailed, reason="a\ud800b")) == r"a\ud800b"


def test_long_and_many_lined_text_becomes_one_short_line() -> None:
    assert shown("a\n  b\tc") == "a b c"
    assert len(shown("x" * 1000)) == 120
    assert shown("x" * 1000).endswith("…")


@pytest.mark.parametrize(
    ("count_bytes", "told"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1 << 20, "1 MiB"), (3 << 30, "3.0 GiB")]
)  # fmt: skip
def test_sizes_have_the_unit_that_reads_best(count_bytes: int, told: str) -> None:
    assert size(count_bytes) == told


def test_without_an_error_the_first_warning_says_most_and_nothing_says_nothing() -> None:
    assert first_problem("note: x\nmain.c:1: warning: y") == "main.c:1: warning: y"
    assert first_problem("\n \n") == ""
