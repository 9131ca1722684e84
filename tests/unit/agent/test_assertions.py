"""Judging a board's output."""

import pytest

from benchwire.agent.tools.assertions import IllegalAssertion, Kind, check, judge, satisfied
from benchwire.events.task import Assertion

OUTPUT = "BOOT stm32f405\r\ncount 1\r\ncount 2\r\nSELFTEST PASS\r\n"


def passed(pattern: str, kind: Kind = Kind.SUBSTRING, output: str = OUTPUT) -> bool:
    [result] = judge(output, [Assertion(name="it", pattern=pattern, kind=kind)])
    return result.passed


def test_a_substring_is_found_and_its_line_told() -> None:
    [result] = judge(OUTPUT, [Assertion(name="boots", pattern="stm32")])
    assert (result.name, result.passed, result.detail) == ("boots", True, "BOOT stm32f405")


def test_a_missing_substring_is_told_with_the_last_line() -> None:
    [result] = judge(OUTPUT, [Assertion(name="counts", pattern="count 3")])
    assert not result.passed
    assert result.detail == "'count 3' was not seen in 4 lines; the last one is 'SELFTEST PASS'"


def test_no_output_is_said() -> None:
    [result] = judge("", [Assertion(name="boots", pattern="BOOT")])
    assert result.detail == "'BOOT' was not seen: there was no output"


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_make_no_difference(ending: str) -> None:
    output = OUTPUT.replace("\r\n", ending)
    assert passed("count 1\ncount 2", output=output)
    assert passed("count 1\r\ncount 2", output=output)
    assert passed(r"^count 2$", Kind.REGEX, output)


def test_a_regex_stays_within_a_line() -> None:
    assert passed(r"^count \d$", Kind.REGEX)
    assert not passed(r"BOOT.*PASS", Kind.REGEX)
    assert not passed(r"count 1\s+count 2", Kind.REGEX)


def test_a_leading_flag_ignores_case() -> None:
    assert passed("(?i)selftest pass", Kind.REGEX)


def test_what_must_be_absent_fails_with_the_line_that_has_it() -> None:
    assert passed("PANIC", Kind.ABSENT)
    [result] = judge(OUTPUT, [Assertion(name="no count", pattern="count 2", kind=Kind.ABSENT)])
    assert (result.passed, result.detail) == (False, "count 2")


def test_results_keep_the_order_and_the_weight_of_their_assertions() -> None:
    results = judge(OUTPUT, [Assertion(name="b", pattern="x", required=False), Assertion(name="a", pattern="BOOT")])
    assert [(result.name, result.required) for result in results] == [("b", False), ("a", True)]


def test_enough_was_seen_when_all_that_is_required_passes() -> None:
    wanted = [Assertion(name="a", pattern="BOOT"), Assertion(name="b", pattern="not there", required=False)]
    assert satisfied(OUTPUT, wanted)
    assert not satisfied("BOO", wanted)


def test_absence_alone_is_never_enough_before_the_end() -> None:
    assert not satisfied(OUTPUT, [Assertion(name="a", pattern="PANIC", kind=Kind.ABSENT)])
    assert not satisfied(OUTPUT, [Assertion(name="a", pattern="BOOT", required=False)])


def test_something_forbidden_keeps_it_from_being_enough() -> None:
    wanted = [Assertion(name="a", pattern="BOOT"), Assertion(name="b", pattern="count 2", kind=Kind.ABSENT)]
    assert not satisfied(OUTPUT, wanted)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "is no regex: missing \\), unterminated subpattern"),
        ("(a+)+$", "exponential"),
        ("(a|ab)*c", "exponential"),
        ("(?:a?){30}a{30}", "exponential"),
        ("((a{1,9})b){2,9}", "exponential"),
        (r"(a)\1", "back reference"),
        ("(?=a)b", "look-around"),
        ("(?>a)b", "special group"),
        ("a*b*c*d*e", "has 4 open repeats"),
        ("a?" * 20, "20 choices"),
        ("x" * 201, "longer than 200"),
    ],
)
def test_a_regex_that_is_none_or_may_take_too_long_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(IllegalAssertion, match=why):
        check([Assertion(name="it", pattern=pattern, kind=Kind.REGEX)])


@pytest.mark.parametrize(
    "pattern",
    [
        r"^tick \d+$",
        r"temp=-?\d+\.\d+ C",
        r"(OK|PASS) in \d+ ms",
        r"[(*+?|)]+",
        r"\(\d+\)\*",
        "(ab){3}",
        r"[]a]+b",
        r"(?P<n>\d+) of \d+",
        "a{b",
    ],
)
def test_an_ordinary_regex_is_accepted(pattern: str) -> None:
    check([Assertion(name="it", pattern=pattern, kind=Kind.REGEX)])


@pytest.mark.timeout(60)
def test_the_worst_pattern_that_is_accepted_ends() -> None:
    assert not passed("[ab]*[ab]*[ab]*[xy]", Kind.REGEX, "a" * 10_000)


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(IllegalAssertion, match="any output would satisfy"):
        check([Assertion(name="it", pattern="")])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(IllegalAssertion, match="kind is substring, regex, absent, not 'glob'"):
        check([Assertion(name="it", pattern="*", kind="glob")])
