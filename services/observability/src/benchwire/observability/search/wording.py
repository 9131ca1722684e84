"""What somebody types into a search box, as an expression that SQLite's FTS5 takes.

Every word is quoted, so that nothing in it is an operator: all words have to be there, ``"exact phrases"`` as they are, ``begin*`` begins a
word, and ``-this`` must not be there.
"""

import re

from benchwire.observability.errors import Unusable

MOST_CHARACTERS = 1000
MOST_TERMS = 32
_TERM = re.compile(r"""(?P<no>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))(?P<begins>\*?)""")


def expression(text: str) -> str:
    """The expression for ``text``, over the column ``text``. Raises ``Unusable`` with a sentence about ``q``."""
    if len(text) > MOST_CHARACTERS:
        raise Unusable(f"q: it may have {MOST_CHARACTERS} characters at most")
    wanted: list[str] = []
    unwanted: list[str] = []
    for term in _TERM.finditer(_readable(text)):
        said = term["phrase"] if term["phrase"] is not None else term["word"]
        if any(one.isalnum() for one in said):
            (unwanted if term["no"] else wanted).append(
                _quoted(said, begins=said.endswith("*") or bool(term["begins"]))
            )
    if len(wanted) + len(unwanted) > MOST_TERMS:
        raise Unusable(f"q: it may have {MOST_TERMS} words at most")
    if not wanted:
        raise Unusable('q: say at least one word to look for; what begins with "-" is only left out')
    found = " AND ".join(wanted)
    return f"{{text}} : (({found}) NOT ({' OR '.join(unwanted)}))" if unwanted else f"{{text}} : ({found})"


def only(column: str, value: str) -> str:
    """The expression for rows whose ``column`` holds the words of ``value``."""
    return f"{{{column}}} : {_quoted(_readable(value), begins=False)}"


def _readable(text: str) -> str:
    """``text`` without control characters: FTS5 takes a NUL for the end of the expression."""
    return "".join(one if one.isprintable() else " " for one in text)


def _quoted(said: str, *, begins: bool) -> str:
    return '"' + said.replace('"', '""') + '"' + (" *" if begins else "")
