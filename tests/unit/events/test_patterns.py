"""Regular expressions of somebody else's, and waiting for a line that matches."""

import pytest

from benchwire.events.expect import Expectation
from benchwire.events.live import SerialLine
from benchwire.events.patterns import BadPattern, Pattern
from benchwire.events.testing.samples import AT


def test_a_match_tells_its_groups() -> None:
    found = Pattern(r"v(\d+)\.(\d+)(-rc)?").search("firmware v1.20 ready")
    assert found is not None
    assert (found.text, found.groups) == ("v1.20", ["1", "20", None])
    assert Pattern("ä$").search("hä") is not None
    assert Pattern("login: $").search("login:") is None


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "missing"),
        (r"(?=x)", r"\(\?="),
        (r"(a)\1", "invalid escape"),
        ("x" * 1001, "1000 characters"),
        ("\ud800", "half of a character"),
        (r"(\pL?){500}", "too large"),
    ],
)
def test_what_is_no_pattern_is_refused_in_a_sentence(pattern: str, why: str) -> None:
    with pytest.raises(BadPattern, match=why):
        Pattern(pattern)


def test_a_pattern_that_keeps_other_engines_busy_for_ever_is_done_at_once() -> None:
    assert Pattern("(a+)+$").search("a" * 4096 + "b") is None
    assert Pattern("((a?){30}){30}b").search("a" * 4096) is None


def line(text: str, number: int) -> SerialLine:
    return SerialLine(timestamp=AT, host="h", device="d", line=text, number=number)


def test_the_first_line_that_matches_ends_the_wait() -> None:
    expectation = Expectation(Pattern("TEST (PASS|FAIL)"), most_lines=2)
    heard = [expectation.hear(line(text, number)) for number, text in enumerate(("a", "b", "TEST FAIL", "TEST PASS"))]
    assert heard == [False, False, True, True]
    assert expectation.line is not None
    assert expectation.line.number == 2
    assert expectation.found is not None
    assert expectation.found.groups == ["FAIL"]
    assert [one.line for one in expectation.heard] == ["b", "TEST FAIL"], "the last ones, and nothing after the match"
