"""Judging a board's output."""

from typing import Any

import pytest
from msgspec.structs import replace

from benchwire.agent.tools.assertions import IllegalAssertion, Kind, check, judge, satisfied
from benchwire.agent.tools.printed import FOREVER_S, Hearing, Printed
from benchwire.events.assertions import MAX_ASSERTIONS
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


def test_nothing_forbidden_is_sure_before_the_end() -> None:
    shown = Assertion(name="a", pattern="BOOT")
    absent = Assertion(name="b", pattern="PANIC", kind=Kind.ABSENT)
    assert not satisfied(so_far(OUTPUT, 5.0), [shown, absent])
    assert not satisfied(so_far(OUTPUT, 5.0), [shown, replace(absent, within_s=6.0)])
    assert satisfied(so_far(OUTPUT, 5.0), [shown, replace(absent, within_s=4.0)])
    assert satisfied(OUTPUT, [absent])
    assert not satisfied(OUTPUT, [Assertion(name="a", pattern="BOOT", required=False)])


def so_far(text: str, lasted_s: float, *arrivals: tuple[int, float]) -> Printed:
    return Printed(text, arrivals, lasted_s)


# "a" came at once, the rest of its line and "b" after 2.1 s, "b" again after 3 s
TIMED = (("a\r\n", 0.0), ("b 17.2\r\n", 2.1), ("b 3\r\n", 3.0))


def timed(*pieces: tuple[str, float]) -> Printed:
    heard = Hearing(1000)
    for text, at_s in pieces:
        heard.hear(text.encode(), 100.0 + at_s)
    return heard.printed()


@pytest.mark.parametrize(
    ("asked", "passed", "detail"),
    [
        ({"kind": "substring", "pattern": "b 17", "within_s": 3}, True, "b 17.2"),
        ({"kind": "substring", "pattern": "b 17", "within_s": 1}, False, "shown after 2.1 s, 1 s was asked: b 17.2"),
        ({"kind": "regex", "pattern": r"^b \d$", "within_s": 2.5}, False, "shown after 3.0 s, 2.5 s was asked: b 3"),
        ({"kind": "absent", "pattern": "b 3", "within_s": 2.5}, True, ""),
        ({"kind": "absent", "pattern": "b 3", "within_s": 3}, False, "b 3"),
        ({"kind": "order", "patterns": ["a", "17", "3"]}, True, "b 3"),
        ({"kind": "order", "patterns": ["a", "17", "3"], "within_s": 2.9}, False, "shown after 3.0 s, 2.9 s was asked: b 3"),
        ({"kind": "order", "patterns": ["b", "a"]}, False, "'a' came before 'b', and not after it"),
        ({"kind": "order", "patterns": ["a", "c"]}, False, "'c' was not seen in 3 lines; the last one is 'b 3'"),
        ({"kind": "order", "patterns": ["a\r\nb", "b"]}, True, "b 3"),
        ({"kind": "count", "pattern": "^b", "min_count": 2}, True, "matched 2 times"),
        ({"kind": "count", "pattern": "^b", "min_count": 3}, False, "matched 2 times, at least 3 were asked"),
        ({"kind": "count", "pattern": "^b", "max_count": 1}, False, "matched 2 times, at most 1 were asked"),
        ({"kind": "count", "pattern": "^b", "max_count": 1, "within_s": 2.5}, True, "matched once within 2.5 s"),
        (
            {"kind": "count", "pattern": "^b", "min_count": 2, "within_s": 2.5}, False,
            "matched once within 2.5 s, at least 2 were asked; 2 times in all",
        ),
        ({"kind": "range", "pattern": r"b (\d+\.\d)", "minimum": 17, "maximum": 18}, True, "17.2"),
        ({"kind": "range", "pattern": r"^b (.*)$", "maximum": 10}, False, "17.2 is above 10, in 'b 17.2'"),
        ({"kind": "range", "pattern": r"^b (.*)$", "minimum": 10}, False, "3 is below 10, in 'b 3'"),
        ({"kind": "range", "pattern": r"^b (.*)$", "minimum": 10, "within_s": 2.5}, True, "17.2"),
        ({"kind": "range", "pattern": r"^b (.*)$", "minimum": 1}, True, "2 numbers, the last one 3"),
        ({"kind": "range", "pattern": r"(?P<x>\w) (?P<v>\d+)$", "group": "x", "minimum": 1}, False, "'b' is no number, in 'b 3'"),
        ({"kind": "range", "pattern": r"(?P<x>\w) (?P<v>\d+)$", "group": "v", "minimum": 1}, True, "3"),
        ({"kind": "range", "pattern": r"\d$", "group": "0", "minimum": 2}, True, "2 numbers, the last one 3"),
        ({"kind": "range", "pattern": r"c (\d)", "minimum": 2}, False, r"'c (\\d)' was not seen in 3 lines; the last one is 'b 3'"),
        ({"kind": "range", "pattern": r"b (\d)", "minimum": 2, "within_s": 1}, False, "shown after 2.1 s, 1 s was asked: b 17.2"),
    ],
)  # fmt: skip
def test_each_kind_says_what_it_found_or_missed(asked: dict[str, Any], passed: bool, detail: str) -> None:
    assertion = Assertion(name="it", **asked)
    check([assertion])
    [result] = judge(timed(*TIMED), [assertion])
    assert (result.passed, result.detail) == (passed, detail)


@pytest.mark.parametrize(
    ("asked", "sure"),
    [
        ({"kind": "order", "patterns": ["a", "b"]}, True),
        ({"kind": "count", "pattern": "b", "min_count": 2}, True),
        ({"kind": "count", "pattern": "b", "min_count": 2, "max_count": 2}, False),
        ({"kind": "count", "pattern": "b", "min_count": 2, "max_count": 2, "within_s": 4}, True),
        ({"kind": "range", "pattern": r"b (\d+)", "maximum": 20}, False),
        ({"kind": "range", "pattern": r"b (\d+)", "maximum": 20, "within_s": 4}, True),
        ({"kind": "absent", "pattern": "c"}, False),
    ],
)
def test_a_run_goes_on_while_what_may_still_come_could_change_the_verdict(asked: dict[str, Any], sure: bool) -> None:
    assertion = Assertion(name="it", **asked)
    running = so_far("a\nb 17\nb 3\n", 5.0)
    assert judge(running, [assertion])[0].passed
    assert satisfied(running, [assertion]) is sure
    assert satisfied(replace(running, lasted_s=FOREVER_S), [assertion])


def test_pieces_of_characters_and_of_line_ends_come_together() -> None:
    heard = Hearing(8)
    taken = [heard.hear(one, at) for one, at in ((b"\xc3", 1.0), (b"\xa4\r", 2.0), (b"\nb\r\ncdef", 4.0))]
    assert taken[-1] == b"\nb\r\nc"
    assert heard.is_full
    printed = heard.printed().unified()
    assert printed.text == "ä\nb\nc"
    assert [printed.at_s(end) for end in range(1, 6)] == [1.0, 1.0, 3.0, 3.0, 3.0]
    assert heard.printed(now=9.0).lasted_s == 8.0


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"kind": "regex", "pattern": "("}, "missing"),
        ({"kind": "regex", "pattern": r"(a)\1"}, "invalid escape"),
        ({"kind": "regex", "pattern": "(?=a)b"}, "is no regular expression"),
        ({"kind": "count", "pattern": "x*", "min_count": 1}, "matches nothing at all"),
        ({"kind": "count", "pattern": "x"}, "count needs min_count, max_count or both"),
        ({"kind": "count", "pattern": "x", "min_count": 3, "max_count": 2}, "the first not above the second"),
        ({"kind": "count", "pattern": "x", "min_count": -1}, "numbers from 0"),
        ({"kind": "count", "min_count": 1}, "empty pattern"),
        ({"kind": "order", "patterns": ["a"]}, "at least two texts"),
        ({"kind": "order", "patterns": ["a", ""]}, "none that is empty"),
        ({"kind": "order", "patterns": ["a"] * (MAX_ASSERTIONS + 1)}, "200 at most"),
        ({"kind": "range", "pattern": r"\d"}, "range needs minimum, maximum or both"),
        ({"kind": "range", "pattern": r"(\d)", "group": "2", "minimum": 1}, "has no group '2'"),
        ({"kind": "range", "pattern": r"(\d)", "group": "x", "minimum": 1}, "has no group 'x'"),
        ({"kind": "range", "pattern": r"(\d)", "group": "9" * 5000, "minimum": 1}, "has no group '9{200}[.]{3}'"),
        ({"kind": "range", "pattern": r"(\d)", "minimum": float("nan")}, "minimum and maximum are numbers"),
        ({"kind": "range", "pattern": r"(\d)", "minimum": 2, "maximum": 1}, "the first not above the second"),
        ({"kind": "substring", "pattern": "x", "within_s": 0}, "within_s is a number of seconds above 0"),
    ],
)
def test_an_assertion_that_cannot_be_judged_is_refused_with_the_reason(asked: dict[str, Any], why: str) -> None:
    with pytest.raises(IllegalAssertion, match=why):
        check([Assertion(name="it", **asked)])


@pytest.mark.parametrize(
    "pattern",
    [r"^tick \d+$", r"temp=-?\d+\.\d+ C", r"[(*+?|)]+", r"[]a]+b", r"(?P<n>\d+) of \d+", "a{b", "(a+)+$", "a*b*c*d*e"],
)
def test_an_ordinary_regex_is_accepted(pattern: str) -> None:
    check([Assertion(name="it", pattern=pattern, kind=Kind.REGEX)])


def test_the_worst_patterns_end() -> None:
    output = "a" * 100_000 + "\n"
    for pattern in ("(a+)+$b", "[ab]*[ab]*[ab]*[xy]", "(a?){30}(a){30}c"):
        assert not passed(pattern, Kind.REGEX, output)


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(IllegalAssertion, match="any output would satisfy"):
        check([Assertion(name="it", pattern="")])


def test_more_assertions_than_an_event_can_tell_of_are_refused() -> None:
    many = [Assertion(name=str(number), pattern="x") for number in range(MAX_ASSERTIONS + 1)]
    check(many[:-1])
    with pytest.raises(IllegalAssertion, match="201 assertions are too many for one node; it has 200 at most"):
        check(many)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(IllegalAssertion, match="kind is substring, regex, absent, order, count, range, not 'glob'"):
        check([Assertion(name="it", pattern="*", kind="glob")])
