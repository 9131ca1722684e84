"""Text that comes in pieces, as a model speaks: what may be the beginning of a secret waits for the rest of it."""

import re

from benchwire.events.redaction.door import Door

MOST_HELD_CHARS = 16 * 1024
# How secrets begin, and the words that say that one follows, in small letters. They may hold a little more than need be.
_STARTS = (
    "sk-", "AKIA", "ASIA", "ABIA", "ACCA", "AIza", "GOCSPX-", "ya29.", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "gldt-",
    "glrt-", "glptt-", "gloas-", "glcbt-", "glsoat-", "glft-", "glagent-", "glimt-", "glffct-", "xox", "xapp-", "sk_live_", "sk_test_",
    "rk_live_", "rk_test_", "whsec_", "npm_", "pypi-", "hf_", "SU", "SA", "SO", "SN", "SC", "SX", "eyJ",
)  # fmt: skip
_TELLING_STARTS = (
    "authorization", "proxy-authorization", "bearer", "x-api-key", "api-key", "x-auth-token", "private-token", "secret_access_key",
    "secretaccesskey", "aws_secret", "awssecret", "aws_session_token", "sessiontoken", "x-amz-security-token", "hooks.slack.com",
)  # fmt: skip
_SEED_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
# At the end of what was said: a private key that has not ended, or a word that has not, with those before it that tell what it is.
_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?!.*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)", re.DOTALL
)
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BEGINNING = re.compile(r"(?:-{1,4}|-----[A-Z0-9 -]{0,50})\Z")
_TELLING = re.compile(
    r"(?:(?:\S{0,80}(?:authorization|bearer|basic|token|digest|key)\S{0,3}|[^\s=:]{0,80}[=:]\S{0,80})\s+){0,3}\S*\Z",
    re.IGNORECASE,
)
_LOOK_BACK = 120


class Speech:
    """One text in its pieces; ``said`` gives what may be passed on by now, ``rest`` what was held at its end.

    A secret of more than ``MOST_HELD_CHARS`` is passed on from there; what was held of it is blotted as far as it is known to be one.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._held = ""

    def said(self, piece: str) -> str:
        """What may be passed on, now that ``piece`` was said."""
        text = self._held + piece
        at = self._safe_upto(text)
        if len(text) - at > MOST_HELD_CHARS:
            at = len(text)
        self._held = text[at:]
        return self._door.text(text[:at]) if at else ""

    def rest(self) -> str:
        """What was held, when no more comes."""
        text, self._held = self._held, ""
        return self._door.text(text) if text else ""

    def _safe_upto(self, text: str) -> int:
        """Up to where no secret can have begun that has not ended."""
        if (key := _KEY.search(text)) is not None:
            return key.start()
        ended = max((one.end() for one in _KEY_END.finditer(text)), default=0)
        beginning = _BEGINNING.search(text, max(ended, len(text) - _LOOK_BACK))
        last = max(text.rfind(one) for one in " \n\t\r") + 1
        found = _TELLING.search(text, max(0, last - _LOOK_BACK))
        at = len(text) if found is None else found.start()
        if at >= last and not self._may_be_a_beginning(text[last:]):
            at = len(text)
        return max(ended, at if beginning is None else min(at, beginning.start()))

    def _may_be_a_beginning(self, word: str) -> bool:
        """Whether a word that has not ended may be a secret, or tell of one."""
        if not word:
            return False
        if self._door.is_extended or any(one in word for one in (":", "=", "@")):
            return True
        if any(own[:size] == word[-size:] for own in self._door.own for size in range(1, min(len(own), len(word)) + 1)):
            return True
        if any(own in word for own in self._door.own):
            return True
        small = word.lower()
        places = (
            at for at in range(len(word)) if at == 0 or not word[at - 1].isalnum() or word[at - 2 : at - 1] == "\\"
        )
        return any(_begins(word[at:], small[at:]) for at in places)


def _begins(word: str, small: str) -> bool:
    if any(start.startswith(small) or small.startswith(start) for start in _TELLING_STARTS):
        return True
    for start in _STARTS:
        if start.startswith(word):
            return True
        if word.startswith(start):
            # Seeds have no sign but their letters.
            return len(start) > 2 or _SEED_LETTERS.issuperset(word)
    return False
