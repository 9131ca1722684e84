"""Which assertions about a board's output can be judged: each kind, and what it needs. Pure."""

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from benchwire.events.patterns import BadPattern, Pattern
from benchwire.events.task import Assertion

MAX_DETAIL_CHARS = 200
MAX_ASSERTIONS = 200  # of one node: their results have to fit into one event with what it printed


class IllegalAssertion(ValueError):
    """The assertion can't be judged: its kind is unknown, or what that kind needs is missing or wrong."""


class Kind(StrEnum):
    """How an assertion is meant."""

    SUBSTRING = "substring"
    REGEX = "regex"
    ABSENT = "absent"
    ORDER = "order"
    COUNT = "count"
    RANGE = "range"


def check(assertions: Sequence[Assertion]) -> None:
    """Raises ``IllegalAssertion`` when one of them can't be judged, or when they are too many."""
    if len(assertions) > MAX_ASSERTIONS:
        raise IllegalAssertion(
            f"{len(assertions)} assertions are too many for one node; it has {MAX_ASSERTIONS} at most"
        )
    for one in assertions:
        if (problem := _problem(one)) is not None:
            raise IllegalAssertion(f"assertion {shortened(one.name)!r}: {problem}")


@lru_cache(maxsize=256)
def pattern_of(text: str) -> Pattern:
    """The regex, compiled. Raises ``BadPattern``."""
    return Pattern(text, lines=True)


def shortened(line: str) -> str:
    """As much of a line as a person reads."""
    return line if len(line) <= MAX_DETAIL_CHARS else f"{line[:MAX_DETAIL_CHARS]}..."


def _problem(one: Assertion) -> str | None:
    if one.kind not in list(Kind):
        return f"kind is {', '.join(Kind)}, not {shortened(one.kind)!r}"
    if one.within_s is not None and not 0 < one.within_s < math.inf:
        return f"within_s is a number of seconds above 0, not {one.within_s:g}"
    match Kind(one.kind):
        case Kind.ORDER:
            wrong = not 2 <= len(one.patterns) <= MAX_ASSERTIONS or not all(one.patterns)
            return _ORDER if wrong else None
        case Kind.SUBSTRING | Kind.ABSENT:
            return None if one.pattern else _EMPTY
        case Kind.REGEX | Kind.COUNT | Kind.RANGE:
            return _regex_problem(one) if one.pattern else _EMPTY


_ORDER = f"order needs at least two texts in patterns, {MAX_ASSERTIONS} at most, and none that is empty"
_EMPTY = "it has an empty pattern, which any output would satisfy"


def _regex_problem(one: Assertion) -> str | None:
    try:
        pattern = pattern_of(one.pattern)
    except BadPattern as error:
        return f"{shortened(one.pattern)!r}: {error}"
    match one.kind:
        case Kind.COUNT:
            return _count_problem(one, pattern)
        case Kind.RANGE:
            return _range_problem(one, pattern)
        case _:
            return None


def _count_problem(one: Assertion, pattern: Pattern) -> str | None:
    if pattern.search("") is not None:
        return f"the regex {shortened(one.pattern)!r} matches nothing at all, which stands between any two characters"
    bounds = [bound for bound in (one.min_count, one.max_count) if bound is not None]
    if not bounds:
        return "count needs min_count, max_count or both"
    if min(bounds) < 0 or any(low > high for low, high in pairwise(bounds)):
        return "min_count and max_count are numbers from 0, the first not above the second"
    return None


def _range_problem(one: Assertion, pattern: Pattern) -> str | None:
    if pattern.number_of(one.group) is None:
        return f"the regex {shortened(one.pattern)!r} has no group {shortened(one.group or '')!r}"
    bounds = [bound for bound in (one.minimum, one.maximum) if bound is not None]
    if not bounds:
        return "range needs minimum, maximum or both"
    if not all(map(math.isfinite, bounds)) or any(low > high for low, high in pairwise(bounds)):
        return "minimum and maximum are numbers, the first not above the second"
    return None
