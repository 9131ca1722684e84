"""What a connection is told that gets no further than the gate: an HTTP answer, made without the app."""

import msgspec

from benchwire.web.errors import RETRY_AFTER_S, Problem
from benchwire.web.headers import ALWAYS

_PHRASES = {
    400: b"Bad Request", 405: b"Method Not Allowed", 408: b"Request Timeout", 414: b"URI Too Long", 415: b"Unsupported Media Type",
    429: b"Too Many Requests", 431: b"Request Header Fields Too Large", 503: b"Service Unavailable",
}  # fmt: skip


class Refused(Exception):
    """Why a connection is refused: the ``status`` and ``sentence`` of the answer, and the ``reason`` that it is counted under."""

    def __init__(self, status: int, sentence: str, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.reason = reason

    def written(self) -> bytes:
        """The whole answer; nothing follows it on its connection."""
        body = msgspec.json.encode(Problem(self.sentence, self.status))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"cache-control", b"no-store"),
            *ALWAYS,
        ]
        if self.status in (429, 503):
            headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (self.status, _PHRASES[self.status], lines, body)
