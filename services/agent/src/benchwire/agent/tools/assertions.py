"""What a board's output must show. Pure: text and assertions in, results out.

Line endings are unified first (CR LF and CR become LF). A substring may lie anywhere in the output, across lines too. A regex is
searched line by line: ``^`` and ``$`` are the ends of a line. ``absent`` is a substring that must not appear.

Python's ``re`` backtracks and can't be interrupted, so its work is bounded beforehand. A pattern is short, has few repeats and choices,
repeats no group that can match in several ways (``(a+)+`` takes exponential time), and has neither back reference nor look-around.
Of each line, the first ``MAX_LINE_CHARS`` characters are searched. The worst pattern that passes takes about a second for a line made
to hurt it; ordinary ones take microseconds.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache

from benchwire.events.task import Assertion, AssertionResult

MAX_PATTERN_CHARS = 200
MAX_LINE_CHARS = 160
# A repeat may try each place in the line, a choice (| or ?) only two ways; what they try multiplies, so the weights add up as powers.
REPEAT_WEIGHT = 8
CHOICE_WEIGHT = 2
MAX_WEIGHT = 28
MAX_DETAIL_CHARS = 200

# The parts of a pattern: an escape, a character class (a `]` right after its opening is a member), a group's opening, a quantifier with
# its lazy or possessive suffix, or one character.
_PART = re.compile(
    r"(?P<escape>\\.)|(?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?(?:P<\w+>|:|i\)|\S)?)?)"
    r"|(?P<quantifier>(?:[*+?]|\{(?:\d+(?:,\d*)?|,\d+)\})[?+]?)|(?P<other>.)",
    re.DOTALL,
)
_PLAIN_GROUP = re.compile(r"\((\?(P<\w+>|:))?")
_EXACT = re.compile(r"\{\d+\}.?")


class IllegalAssertion(ValueError):
    """The assertion can't be judged: its kind is unknown, or its pattern is empty, no regex, or may take too long."""


class Kind(StrEnum):
    """How a pattern is meant."""

    SUBSTRING = "substring"
    REGEX = "regex"
    ABSENT = "absent"


def check(assertions: Sequence[Assertion]) -> None:
    """Raises ``IllegalAssertion`` when one of them can't be judged."""
    for one in assertions:
        if one.kind not in list(Kind):
            raise IllegalAssertion(f"assertion {one.name!r}: kind is {', '.join(Kind)}, not {one.kind!r}")
        if not one.pattern:
            raise IllegalAssertion(f"assertion {one.name!r} has an empty pattern, which any output would satisfy")
        problem = _regex_problem(one.pattern) if one.kind == Kind.REGEX else None
        if problem is not None:
            raise IllegalAssertion(f"assertion {one.name!r}: the regex {one.pattern!r} {problem}")


def judge(output: str, assertions: Sequence[Assertion]) -> list[AssertionResult]:
    """One result for each assertion, in order. Only for what passed ``check``."""
    unified = output.replace("\r\n", "\n").replace("\r", "\n")
    return [_judge_one(unified, assertion) for assertion in assertions]


def satisfied(output: str, assertions: Sequence[Assertion]) -> bool:
    """Whether the output shows all that is required, so that a simulation may end.

    Never true while nothing positive is required: that something stays absent is only known at the end.
    """
    required = [assertion for assertion in assertions if assertion.required]
    if all(assertion.kind == Kind.ABSENT for assertion in required):
        return False
    return all(result.passed for result in judge(output, required))


def _judge_one(output: str, assertion: Assertion) -> AssertionResult:
    line = _deciding_line(output, assertion)
    passed = (line is None) if assertion.kind == Kind.ABSENT else (line is not None)
    return AssertionResult(
        name=assertion.name,
        passed=passed,
        required=assertion.required,
        detail=_shortened(line) if line is not None else _not_found(output, assertion),
    )


def _deciding_line(output: str, assertion: Assertion) -> str | None:
    """The line with the first match; None when there is no match."""
    if assertion.kind == Kind.REGEX:
        regex = _compiled(assertion.pattern)
        return next((line for line in output.split("\n") if regex.search(line[:MAX_LINE_CHARS])), None)
    start = output.find(assertion.pattern.replace("\r\n", "\n"))
    if start < 0:
        return None
    return output[output.rfind("\n", 0, start) + 1 :].split("\n", 1)[0]


def _not_found(output: str, assertion: Assertion) -> str:
    if assertion.kind == Kind.ABSENT:
        return ""
    lines = [line for line in output.split("\n") if line.strip()]
    if not lines:
        return f"{_shortened(assertion.pattern)!r} was not seen: there was no output"
    return f"{_shortened(assertion.pattern)!r} was not seen in {len(lines)} lines; the last one is {_shortened(lines[-1])!r}"


def _shortened(line: str) -> str:
    return line if len(line) <= MAX_DETAIL_CHARS else f"{line[:MAX_DETAIL_CHARS]}..."


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _regex_problem(pattern: str) -> str | None:
    """Why the pattern is refused; None when it may be searched."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"is longer than {MAX_PATTERN_CHARS} characters"
    try:
        _compiled(pattern)
    except re.error as error:
        return f"is no regex: {error}"
    except (OverflowError, RecursionError):
        return "is too large"
    return _cost_problem(pattern)


def _cost_problem(pattern: str) -> str | None:
    """What could make a search slow, from one walk over the parts of a valid pattern."""
    varied = [False]  # for each open group: whether it can match in more than one way so far
    atom_varied = False
    repeats = choices = 0
    for part in _PART.finditer(pattern.removeprefix("(?i)")):
        text, kind = part.group(), part.lastgroup
        special = _special(text, kind)
        if special is not None:
            return special
        several, atom_varied = atom_varied, False
        if kind == "open":
            varied.append(False)
        elif kind == "quantifier":
            if several:
                return "repeats a group that can match in several ways, which may take exponential time; write the repeats out"
            varied[-1] |= not _EXACT.fullmatch(text)
            repeats += text[0] in "*+" or "," in text
            choices += text[0] == "?"
        elif text == "|":
            varied[-1] = True
            choices += 1
        elif text == ")":
            atom_varied = varied.pop()
            varied[-1] |= atom_varied
    if repeats * REPEAT_WEIGHT + choices * CHOICE_WEIGHT > MAX_WEIGHT:
        return (
            f"has {repeats} open repeats and {choices} choices (| and ?), which may take too long; three repeats with two choices are"
            " searched, or two with six (a leading or trailing .* is not needed)"
        )
    return None


def _special(text: str, kind: str | None) -> str | None:
    if kind == "open" and not _PLAIN_GROUP.fullmatch(text):
        return (
            "has a look-around or another special group; (...), (?:...), (?P<name>...) and a leading (?i) are searched"
        )
    if kind == "escape" and text[1] in "123456789":
        return "has a back reference"
    return None
