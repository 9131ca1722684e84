"""Texts that can be searched, and the questions that are asked of them. Pure."""

import re

from benchwire.documents.errors import BadQuery
from benchwire.documents.names import charset_of

MAX_TEXT_BYTES = 1 << 20
LOOK_BYTES = 8192
MAX_WORDS = 4096  # FTS5 goes as deep as there are words, and with some ten thousand it takes the process along
_WORD = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


def looks_like_text(head: bytes) -> bool:
    """Whether bytes that begin so may be text: it has no zero bytes."""
    return b"\0" not in head[:LOOK_BYTES]


def text_of(data: bytes, content_type: str, *, cut: bool) -> str | None:
    """The text that ``data`` is, in UTF-8 or, if its type says that it is text, in Latin-1; None when it is none.

    ``cut`` says that it is only a beginning, which may end within a character.
    """
    if not looks_like_text(data):
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if cut and error.start >= len(data) - 3:
            return data[: error.start].decode("utf-8-sig")
    return data.decode("latin-1") if charset_of(content_type) else None


def question(asked: str) -> str | None:
    """What a person asked, in the language of FTS5; None when there is no word in it.

    All words have to be there. ``"some words"`` are looked for as they stand, ``word*`` is the beginning of one, and ``-word`` must not be
    there. Whatever else stands in it is just text: every word is quoted, so that nothing is an operator. Raises ``BadQuery`` when there are
    more than ``MAX_WORDS``.
    """
    wanted: list[str] = []
    unwanted: list[str] = []
    for minus, phrase, word in _WORD.findall(asked.replace("\0", " ")):
        text = phrase or word
        if not any(c.isalnum() for c in text):
            continue
        quoted = '"' + text.rstrip("*").replace('"', '""') + '"'
        (unwanted if minus else wanted).append(quoted + "*" if word.endswith("*") else quoted)
    if len(wanted) + len(unwanted) > MAX_WORDS:
        raise BadQuery(f"a search has {MAX_WORDS} words at most; look for fewer")
    if not wanted:
        wanted, unwanted = unwanted, []
    if not wanted:
        return None
    return " NOT ".join([f"({' AND '.join(wanted)})", *unwanted])
