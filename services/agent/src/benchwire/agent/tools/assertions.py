"""What a board's output must show. Pure: what it printed and assertions in, results out.

Line endings are unified first (CR LF and CR become LF). A text may lie anywhere in the output, across lines too. A regex (RE2's syntax: no
pattern can keep it busy for long) is searched line by line: ``^`` and ``$`` are the ends of a line, and no match goes beyond one.

``within_s`` counts from the first byte of output. What has to be shown has to be there by then; what is forbidden (``absent``, more than
``max_count``, a number out of its ``range``) is looked for until then, and without it to the end of the run.
"""

import math
from collections.abc import Callable, Sequence

import msgspec

from benchwire.agent.tools.printed import Printed
from benchwire.events.assertions import IllegalAssertion, Kind, check, pattern_of, shortened
from benchwire.events.patterns import Found
from benchwire.events.task import Assertion, AssertionResult

__all__ = ["IllegalAssertion", "Kind", "check", "judge", "satisfied"]


class Verdict(msgspec.Struct, frozen=True):
    """What an output shows of one assertion so far; ``for_good`` when it passed, and nothing that may still come can change that."""

    passed: bool
    detail: str
    for_good: bool


def judge(output: str | Printed, assertions: Sequence[Assertion]) -> list[AssertionResult]:
    """One result for each assertion, in order. Only for what passed ``check``."""
    verdicts = _verdicts(output, assertions)
    return [
        AssertionResult(name=one.name, passed=verdict.passed, required=one.required, detail=verdict.detail)
        for one, verdict in zip(assertions, verdicts, strict=True)
    ]


def satisfied(output: str | Printed, assertions: Sequence[Assertion]) -> bool:
    """Whether the output shows all that is required, for good, so that a simulation may end. Never while nothing is required."""
    required = [one for one in assertions if one.required]
    return bool(required) and all(one.for_good for one in _verdicts(output, required))


def _verdicts(output: str | Printed, assertions: Sequence[Assertion]) -> list[Verdict]:
    printed = (Printed(output) if isinstance(output, str) else output).unified()
    return [_JUDGES[Kind(one.kind)](printed, one) for one in assertions]


# -- each kind


def _substring(printed: Printed, asked: Assertion) -> Verdict:
    text = _unified(asked.pattern)
    start = printed.text.find(text)
    return _shown(printed, asked, None if start < 0 else start + len(text), start)


def _regex(printed: Printed, asked: Assertion) -> Verdict:
    found = pattern_of(asked.pattern).search(printed.text)
    return _shown(printed, asked, None if found is None else found.end, 0 if found is None else found.start)


def _absent(printed: Printed, asked: Assertion) -> Verdict:
    text = _unified(asked.pattern)
    start = printed.text.find(text)
    if start >= 0 and _in_time(printed, asked, start + len(text)):
        return _failed(shortened(printed.line_at(start)))
    return _passed("", for_good=_time_is_over(printed, asked))


def _order(printed: Printed, asked: Assertion) -> Verdict:
    texts = [_unified(one) for one in asked.patterns]
    end = start = 0
    for number, text in enumerate(texts):
        start = printed.text.find(text, end)
        if start < 0:
            before = texts[number - 1] if number else None
            return _failed(_out_of_order(printed, text, before))
        end = start + len(text)
    return _shown(printed, asked, end, start)


def _count(printed: Printed, asked: Assertion) -> Verdict:
    ends = [one.end for one in pattern_of(asked.pattern).each(printed.text)]
    counted = sum(_in_time(printed, asked, one) for one in ends)
    said = f"matched {_times(counted)}" + (f" within {asked.within_s:g} s" if asked.within_s is not None else "")
    if asked.max_count is not None and counted > asked.max_count:
        return _failed(f"{said}, at most {asked.max_count} were asked")
    if asked.min_count is not None and counted < asked.min_count:
        late = f"; {_times(len(ends))} in all" if len(ends) > counted else ""
        return _failed(f"{said}, at least {asked.min_count} were asked{late}")
    return _passed(said, for_good=asked.max_count is None or _time_is_over(printed, asked))


def _range(printed: Printed, asked: Assertion) -> Verdict:
    pattern = pattern_of(asked.pattern)
    found = list(pattern.each(printed.text))
    looked_at = [one for one in found if _in_time(printed, asked, one.end)]
    if not looked_at:
        first = found[0] if found else None
        return _shown(printed, asked, None if first is None else first.end, 0 if first is None else first.start)
    number = pattern.number_of(asked.group) or 0
    for one in looked_at:
        problem = _number_problem(_group(one, number), asked)
        if problem is not None:
            return _failed(f"{problem}, in {shortened(printed.line_at(one.start))!r}")
    values = f"{len(looked_at)} numbers, the last one " if len(looked_at) > 1 else ""
    return _passed(f"{values}{_group(looked_at[-1], number)}", for_good=_time_is_over(printed, asked))


_JUDGES: dict[Kind, Callable[[Printed, Assertion], Verdict]] = {
    Kind.SUBSTRING: _substring,
    Kind.REGEX: _regex,
    Kind.ABSENT: _absent,
    Kind.ORDER: _order,
    Kind.COUNT: _count,
    Kind.RANGE: _range,
}


# -- what they have in common


def _passed(detail: str, *, for_good: bool) -> Verdict:
    return Verdict(passed=True, detail=detail, for_good=for_good)


def _failed(detail: str) -> Verdict:
    return Verdict(passed=False, detail=detail, for_good=False)


def _shown(printed: Printed, asked: Assertion, end: int | None, start: int) -> Verdict:
    """The verdict on something that has to be there: it ends at ``end``, or was not found."""
    if end is None:
        return _failed(_not_seen(printed, asked.pattern))
    line = shortened(printed.line_at(start))
    if not _in_time(printed, asked, end):
        return _failed(f"shown after {_seconds(printed.at_s(end))}, {asked.within_s:g} s was asked: {line}")
    return _passed(line, for_good=True)


def _in_time(printed: Printed, asked: Assertion, end: int) -> bool:
    return asked.within_s is None or printed.at_s(end) <= asked.within_s


def _time_is_over(printed: Printed, asked: Assertion) -> bool:
    """Whether nothing that comes from now on counts."""
    return printed.is_over or (asked.within_s is not None and printed.lasted_s > asked.within_s)


def _not_seen(printed: Printed, what: str) -> str:
    lines = [line for line in printed.text.split("\n") if line.strip()]
    if not lines:
        return f"{shortened(what)!r} was not seen: there was no output"
    seen = f"{len(lines)} lines" if len(lines) > 1 else "1 line"
    return f"{shortened(what)!r} was not seen in {seen}; the last one is {shortened(lines[-1])!r}"


def _out_of_order(printed: Printed, text: str, before: str | None) -> str:
    if before is None or text not in printed.text:
        return _not_seen(printed, text)
    return f"{shortened(text)!r} came before {shortened(before)!r}, and not after it"


def _group(found: Found, number: int) -> str | None:
    return found.groups[number - 1] if number else found.text


def _number_problem(text: str | None, asked: Assertion) -> str | None:
    """Why what the group holds is not in the range; None when it is."""
    value = _number(text or "")
    if value is None:
        return f"{shortened(text or '')!r} is no number"
    if asked.minimum is not None and value < asked.minimum:
        return f"{text} is below {asked.minimum:g}"
    if asked.maximum is not None and value > asked.maximum:
        return f"{text} is above {asked.maximum:g}"
    return None


def _number(text: str) -> float | None:
    """Decimal, or hexadecimal with a leading 0x."""
    try:
        value = float(int(text, 16)) if "0x" in text[:3].lower() else float(text)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def _unified(text: str) -> str:
    return text.replace("\r\n", "\n")
