"""The kinds of secrets that are known by their form.

Each has a ``hint``, looked for in the JSON of a whole event, where it may be loose and must never miss, and a pattern, looked for in each text of an
event that has the hint, where it must be exact. Both are RE2, over bytes.
"""

import base64
import binascii
from collections.abc import Callable, Iterable

import msgspec
import re2  # type: ignore[import-untyped]

from benchwire.events.patterns import MAX_PATTERN_CHARS

OWN = "own secret"
MARK = b"[redacted: "  # how each marker begins
# Of a word: in JSON within a text a line's end is two characters, and a byte that a board printed may be four.
_FRONT = r"(?:^|[^A-Za-z0-9]|\\[nrtbf]|\\x[0-9a-f]{2})"
_QUOTE = r"\\*[\"']?"  # as JSON within a text spells it, or JSON within that
_KEY = r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
_KEY_END = r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
# Never what begins the next one: a text full of beginnings would be read to its end for each of them.
_OF_KEYS = r"(?:[A-Za-z0-9+/=\s\\:,\"'.;|>#()]|-[A-Za-z0-9])"
_WORDS_FOR_A_PASSWORD = frozenset((b"password", b"passwd", b"pass", b"pw", b"secret", b"%s", b"xxx"))

Fits = Callable[[bytes], bool]


class BadKind(ValueError):
    """A kind that cannot be looked for, or that nobody knows; the sentence says why."""


class Kind:
    """One form of a secret: what is blotted is the first group of ``pattern`` that took part, or all that matched, if it ``fits``."""

    def __init__(self, name: str, hint: str | bytes | None, pattern: str | bytes, fits: Fits | None = None) -> None:
        """Without a ``hint`` each text of each event is looked at. Raises ``BadKind``."""
        self.name = name
        self.hint = hint.encode() if isinstance(hint, str) else hint or b""
        self._marker = marker(name).encode()
        self._fits = fits
        self._compiled = compiled(pattern)

    def blotted(self, text: bytes) -> tuple[bytes, int]:
        """``text`` without what is of this kind, and how many that were."""
        kept: list[bytes] = []
        upto = 0
        for found in self._compiled.finditer(text):
            start, end = _part_of(found)
            secret = text[start:end]
            if secret and (self._fits is None or self._fits(secret)):
                kept += (text[upto:start], self._marker)
                upto = end
        return (b"".join((*kept, text[upto:])), len(kept) // 2) if kept else (text, 0)


def _part_of(found: "re2._Match") -> tuple[int, int]:
    groups: Iterable[tuple[int, int]] = (found.span(one) for one in range(1, found.re.groups + 1))
    return next((span for span in groups if span[0] >= 0), found.span())


def marker(name: str) -> str:
    """What stands in the place of a secret of that kind."""
    return f"{MARK.decode()}{name}]"


def options() -> "re2.Options":
    """How patterns over bytes are made: whatever a byte is, it counts as one character."""
    made = re2.Options()
    made.log_errors = False
    made.encoding = re2.Options.Encoding.LATIN1
    return made


def compiled(pattern: str | bytes) -> "re2._Regexp":
    """``pattern`` for bytes. Raises ``BadKind``."""
    text = pattern.encode() if isinstance(pattern, str) else pattern
    try:
        return re2.compile(text, options())
    except re2.error as error:
        why = error.args[0] if error.args else "it cannot be compiled"
        raise BadKind(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from None


def _word(name: str, hint: str, pattern: str, fits: Fits | None = None) -> Kind:
    return Kind(name, hint, f"{_FRONT}({pattern})", fits)


# -- what fits


def _has_digit(secret: bytes) -> bool:
    return any(one in b"0123456789" for one in secret)


def _is_aws_id(secret: bytes) -> bool:
    return len(secret) == 20 and all(one in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" for one in secret[4:])


def _is_google_key(secret: bytes) -> bool:
    return not secret.startswith(b"AIza") or len(secret) == 39


def _is_seed(secret: bytes) -> bool:
    """Whether it has the checksum that nkeys have."""
    if len(secret) != 58:
        return False
    try:
        raw = base64.b32decode(secret + b"======")
    except binascii.Error:
        return False
    return binascii.crc_hqx(raw[:-2], 0) == int.from_bytes(raw[-2:], "little")


def _is_no_placeholder(secret: bytes) -> bool:
    """``YOUR_TOKEN`` is one, as are ``xxxxxxxx`` and ``password``."""
    is_shouted = secret.isupper() and not _has_digit(secret)
    return len(set(secret)) > 2 and not is_shouted and secret.lower() not in _WORDS_FOR_A_PASSWORD


def known() -> list[Kind]:
    """All kinds, in the order in which they are looked for."""
    return [
        Kind(
            "private key", r"PRIVATE KEY(?: BLOCK)?-----",
            rf"{_KEY}(?:{_OF_KEYS}*?{_KEY_END}|(?:(?:\s|\\+[nrt]|[\"'+,>|;])*[A-Za-z0-9+/=]{{16,}})+)",
        ),
        _word("nats seed", r"S[UAONCX][A-Z2-7]{56}", r"S[UAONCX][A-Z2-7]{56,}", _is_seed),
        _word("jwt", r"eyJ[\w-]{8,}\.eyJ", r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
        _word("anthropic key", r"sk-ant-", r"sk-ant-[\w-]{16,}"),
        _word(
            "openai key", rf"{_FRONT}sk-(?:proj|svcacct|admin|or-v1|[A-Za-z0-9]{{32}})",
            r"sk-(?:(?:proj|svcacct|admin|or-v1)-[\w-]{20,}|[A-Za-z0-9]{32,})", _has_digit,
        ),
        _word("aws key", r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}", r"A(?:KIA|SIA|BIA|CCA)[A-Za-z0-9]{16,}", _is_aws_id),
        Kind(
            "aws key", r"(?i)secret_?access_?key|aws_?secret_?key|session_?token|security-token",
            r"(?i)(?:secret_?access_?key|aws_?secret_?key|aws_?session_?token|sessiontoken|security-token)"
            r"[^A-Za-z0-9+/\n]{1,12}([A-Za-z0-9/+=]{40,})",
        ),
        _word("google key", r"AIza[\w-]{30}|GOCSPX-|ya29\.", r"AIza[\w-]{35,}|GOCSPX-[\w-]{20,}|ya29\.[\w-]{20,}", _is_google_key),
        _word("github token", r"gh[oprsu]_[A-Za-z0-9]{30}|github_pat_", r"gh[oprsu]_[A-Za-z0-9]{30,}|github_pat_\w{22,}"),
        _word(
            "gitlab token", r"gl(?:[pdr]t|pat|ptt|oas|cbt|soat|ft|agent|imt|ffct)-[\w-]{20}",
            r"gl(?:pat|dt|rt|ptt|oas|cbt|soat|ft|agent|imt|ffct)-[\w-]{20,}",
        ),
        _word("slack token", r"xox[abeprs]-|xapp-[0-9]-", r"xox[abeprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}", _has_digit),
        Kind("slack token", r"hooks\.slack\.com", r"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]{20,})"),
        _word("stripe key", r"[rs]k_(?:live|test)_|whsec_", r"(?:[rs]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}"),
        _word("npm token", r"npm_[A-Za-z0-9]{36}", r"npm_[A-Za-z0-9]{36,}"),
        _word("pypi token", r"pypi-AgE", r"pypi-AgE[\w-]{40,}"),
        _word("hugging face token", r"hf_[A-Za-z0-9]{30}", r"hf_[A-Za-z0-9]{30,}"),
        Kind(
            "authorization", r"(?i)authorization|(?:api-key|auth-token|private-token)\\*[\"']?\s*[:=]",
            rf"(?i)authorization{_QUOTE}\s*[:=]\s*{_QUOTE}(?:bearer|basic|token|apikey|digest)\s+([\w.~+/=:-]{{8,}})"
            rf"|(?:x-api-key|api-key|x-auth-token|private-token){_QUOTE}\s*[:=]\s*{_QUOTE}([\w.~+/=-]{{16,}})",
            _is_no_placeholder,
        ),
        Kind("authorization", r"(?i)bearer[\s\\]", r"(?i)\bbearer\s+([\w.~+/=-]{16,})", _has_digit),
        Kind(
            "password", r"://[^\s/\"@]*@", r"[A-Za-z0-9+.-]*://[^\s:/?#@\"'\\<>]*:([^\s/@\"'\\<>${}\[\]]+)@",
            _is_no_placeholder,
        ),
        Kind("password", r"(?i)account_?key=|access_?key=", r"(?i)(?:account|shared_?access)_?key=([A-Za-z0-9+/=]{30,})"),
        Kind(
            "password", r"(?i)(?:password|pwd)\s*=",
            r"(?i)\b(?:server|data source|host|user id|uid|dbname|user)\s*=[^\n\"(),]{1,200}\b(?:password|pwd)\s*=\s*([^\s;\"'\\&(),$<>\[\]]{3,})",
            _is_no_placeholder,
        ),
    ]  # fmt: skip


NAMES = (OWN, *dict.fromkeys(kind.name for kind in known()))


def own(secrets: Iterable[str]) -> list[Kind]:
    """What is no secret by its form, but known to be one, as it stands."""
    longest_first = sorted(set(secrets), key=len, reverse=True)
    if not longest_first:
        return []
    hints = [re2.escape(msgspec.json.encode(one)[1:-1]) for one in longest_first]
    return [Kind(OWN, b"|".join(hints), b"|".join(re2.escape(one.encode()) for one in longest_first))]


def of_operator(name: str, pattern: str) -> Kind:
    """One that whoever operates this lab looks for. Raises ``BadKind``."""
    if not 0 < len(name) <= 60 or not name.isprintable() or "]" in name:
        raise BadKind(f"{name[:60]!r} is no name for a kind of secrets: it has 1 to 60 characters, without ]")
    if len(pattern) > MAX_PATTERN_CHARS:
        raise BadKind(f"the pattern of {name!r} has more than {MAX_PATTERN_CHARS} characters")
    try:
        made = Kind(name, None, pattern)
    except BadKind as error:
        raise BadKind(
            f"the pattern of {name!r} is no regular expression (RE2 syntax) that can be used: {error}"
        ) from None
    if made.blotted(b"")[1] or compiled(pattern).search(b"") is not None:
        raise BadKind(f"the pattern of {name!r} matches nothing at all, too: every text would hold it")
    if compiled(pattern).search(marker(name).encode()) is not None:
        raise BadKind(f"the pattern of {name!r} matches {marker(name)!r}, which stands in the place of what it finds")
    return made
