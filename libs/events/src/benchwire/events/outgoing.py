"""Messages that are to be published, as a server reads them: many in one piece.

nats-py looks at each subject and each header with several regular expressions, and hands over each message by itself.
"""

import re
from collections.abc import Sequence

import msgspec
from nats.errors import BadSubjectError

_SPACE = re.compile(r"[ \t\r\n]")
_ONE_LINE = str.maketrans("\r\n", "  ")


class Outgoing(msgspec.Struct, gc=False):
    """A message that is to be published. Names of headers are never from outside."""

    subject: str
    body: bytes | memoryview
    headers: dict[str, str] | None = None


def framed(messages: Sequence[Outgoing], replies: Sequence[str]) -> bytes:
    """What is sent for ``messages``, whose answers are to come on ``replies``. Raises ``BadSubjectError``."""
    parts: list[bytes | memoryview] = []
    for one, reply in zip(messages, replies, strict=True):
        if not one.subject or _SPACE.search(one.subject):  # what follows a space would be read as something else
            raise BadSubjectError
        size = len(one.body)
        if one.headers is None:
            lead = f"PUB {one.subject} {reply} {size}\r\n".encode()
        else:
            headers = _headers(one.headers)
            lead = f"HPUB {one.subject} {reply} {len(headers)} {len(headers) + size}\r\n".encode() + headers
        parts += (lead, one.body, b"\r\n")
    return b"".join(parts)


def _headers(headers: dict[str, str]) -> bytes:
    lines = "".join([f"{name}: {value.strip()}\r\n" for name, value in headers.items()])
    # Or the rest of a value would be read as another header.
    if not lines.count("\r") == lines.count("\n") == len(headers):
        lines = "".join([f"{name}: {value.strip().translate(_ONE_LINE)}\r\n" for name, value in headers.items()])
    return f"NATS/1.0\r\n{lines}\r\n".encode()
