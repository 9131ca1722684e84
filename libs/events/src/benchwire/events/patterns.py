"""Regular expressions that anybody may send: RE2, whose time grows with the text and never beyond, whatever the pattern is.

Python's own ``re`` can be kept busy for ever by one line (``(a+)+$``), and its service with it. RE2 has no backreferences and no
look-around; patterns that need them are refused in a sentence.
"""

from typing import Any, NamedTuple

import re2  # type: ignore[import-untyped]

MAX_PATTERN_CHARS = 1000
_MAX_MEMORY_BYTES = 1 << 20  # of a compiled pattern: bounds how many states a character can cost


class BadPattern(ValueError):
    """Not a regular expression, or not one that RE2 takes; the sentence says why."""

    def __init__(self, why: str) -> None:
        super().__init__(f"that is no regular expression (RE2 syntax) that can be used: {why}")


class Found(NamedTuple):
    """What matched, and the groups of it; a group that took no part is None."""

    text: str
    groups: list[str | None]


class Pattern:
    """A regular expression of somebody else's."""

    def __init__(self, text: str) -> None:
        """Raises ``BadPattern``."""
        if len(text) > MAX_PATTERN_CHARS:
            raise BadPattern(f"it has more than {MAX_PATTERN_CHARS} characters")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MAX_MEMORY_BYTES
        try:
            self._compiled: Any = re2.compile(text, options)
        except re2.error as error:
            why = error.args[0] if error.args else "it cannot be compiled"
            raise BadPattern(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from None
        except UnicodeEncodeError:
            raise BadPattern("it holds half of a character") from None

    def search(self, text: str) -> Found | None:
        """The first place in ``text`` that matches."""
        match = self._compiled.search(text)
        return None if match is None else Found(match.group(), list(match.groups()))
