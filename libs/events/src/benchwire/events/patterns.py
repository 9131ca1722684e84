"""Regular expressions that anybody may send: RE2, whose time grows with the text and never beyond, whatever the pattern is.

Python's own ``re`` can be kept busy for ever by one line (``(a+)+$``), and its service with it. RE2 has no backreferences and no
look-around; patterns that need them are refused in a sentence.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import re2  # type: ignore[import-untyped]

MAX_PATTERN_CHARS = 1000
_GROUP_DIGITS = 4  # a pattern of so many characters has no more groups
_MAX_MEMORY_BYTES = 1 << 20  # of a compiled pattern: bounds how many states a character can cost


class BadPattern(ValueError):
    """Not a regular expression, or not one that RE2 takes; the sentence says why."""

    def __init__(self, why: str) -> None:
        super().__init__(f"that is no regular expression (RE2 syntax) that can be used: {why}")


class Found(NamedTuple):
    """What matched, and the groups of it; a group that took no part is None. ``start`` and ``end`` are places in the text that was searched."""

    text: str
    groups: list[str | None]
    start: int
    end: int


class Pattern:
    """A regular expression of somebody else's."""

    def __init__(self, text: str, *, lines: bool = False) -> None:
        """With ``lines`` it is for texts of several: ``^`` and ``$`` are the ends of each, and no match goes beyond one. Raises ``BadPattern``."""
        if len(text) > MAX_PATTERN_CHARS:
            raise BadPattern(f"it has more than {MAX_PATTERN_CHARS} characters")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MAX_MEMORY_BYTES
        options.never_nl = lines
        try:
            self._compiled: Any = re2.compile(f"(?m){text}" if lines else text, options)
        except re2.error as error:
            why = error.args[0] if error.args else "it cannot be compiled"
            raise BadPattern(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from None
        except UnicodeEncodeError:
            raise BadPattern("it holds half of a character") from None

    def search(self, text: str) -> Found | None:
        """The first place in ``text`` that matches."""
        match = self._compiled.search(text)
        return None if match is None else _found(match)

    def each(self, text: str) -> Iterator[Found]:
        """Every match in ``text``, from its beginning, none within another."""
        return map(_found, self._compiled.finditer(text))

    def number_of(self, group: str | None) -> int | None:
        """Which of ``Found.groups`` is called so, by name or number, counted from 1; 0 is all that matched. None: there is no such group.

        Without a name it is the first group, or all that matched when there is none.
        """
        most: int = self._compiled.groups
        if group is None:
            return min(most, 1)
        if group.isascii() and group.isdigit():
            # int() raises for a number of thousands of digits.
            return int(group) if len(group) <= _GROUP_DIGITS and int(group) <= most else None
        named: dict[str, int] = self._compiled.groupindex
        return named.get(group)


def _found(match: Any) -> Found:
    return Found(match.group(), list(match.groups()), match.start(), match.end())
