"""File names and content types, which come from anybody, made harmless where they enter and where they leave."""

import mimetypes
import re
import unicodedata
from urllib.parse import quote

from benchwire.documents.errors import BadUpload

BYTES = "application/octet-stream"
MAX_FILENAME_CHARS = 4096
_MAX_SERVED_BYTES = 255  # NAME_MAX of the file systems that a client saves to
_MAX_EXTENSION_BYTES = 16

mimetypes.init()  # now: it reads files, which the first upload should not wait for

# Control, unassigned and surrogate characters, line and paragraph separators
_UNSEEN = {"Cc", "Cn", "Cs", "Zl", "Zp"}
# Bidirectional controls make "exe.txt" out of "txt.exe" (Unicode TR 36)
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - a token of RFC 9110, 5.6.2
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(\s*;\s*{_TOKEN}=({_TOKEN}|"[ !#-\[\]-~]*"))*')
_TEXTUAL = re.compile(r"text/.*|application/(.*\+)?(json|xml|yaml|toml|javascript|x-yaml|x-sh|x-ndjson|sql)")
_CHARSET = re.compile(r';\s*charset="?([A-Za-z0-9._-]+)', re.IGNORECASE)


def safe_filename(name: str) -> str:
    """The last part of what a client calls its file, without what cannot be seen. Raises ``BadUpload`` when nothing is left."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join("_" if c in _TURNING or unicodedata.category(c) in _UNSEEN else c for c in last).strip()
    if shown in ("", ".", ".."):
        raise BadUpload("the file needs a name")
    if len(shown) > MAX_FILENAME_CHARS:
        raise BadUpload(f"the file's name may have {MAX_FILENAME_CHARS} characters at most")
    return shown


def safe_content_type(given: str | None, filename: str) -> str:
    """The given content type when it is one, else what the file's extension stands for, else plain bytes."""
    given = (given or "").strip()
    if given and len(given) <= MAX_FILENAME_CHARS and _MEDIA_TYPE.fullmatch(given):
        return given
    return mimetypes.guess_type(filename)[0] or BYTES


def charset_of(content_type: str) -> str | None:
    """The charset of a text; None when it is not text."""
    if not _TEXTUAL.fullmatch(content_type.partition(";")[0].strip().lower()):
        return None
    named = _CHARSET.search(content_type)
    return named.group(1).lower() if named else "utf-8"


def disposition(filename: str) -> str:
    """``Content-Disposition`` for saving under ``filename`` (RFC 6266): for old clients in ASCII, for all others as it is.

    Always an attachment: what somebody uploaded is never a page of this site.
    """
    name = _shortened(filename)
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def _shortened(name: str) -> str:
    """``name`` in at most ``_MAX_SERVED_BYTES`` bytes, with its extension."""
    raw = name.encode()
    if len(raw) <= _MAX_SERVED_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    tail = (dot + extension).encode()
    if not stem or len(tail) > _MAX_EXTENSION_BYTES:
        stem, tail = name, b""
    kept = stem.encode()[: _MAX_SERVED_BYTES - len(tail)].decode(errors="ignore")
    return kept + tail.decode()
