"""What a server sends, as messages.

nats-py tries seven regular expressions on each, and makes several records of it. Here messages are found by their line ends, and whoever hears
them gets no more than what was sent; everything else that a server says is read by nats-py.
"""

from collections.abc import Callable

import msgspec
from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol import parser

_NO_STATUS = b"NATS/1.0\r\n"
_END = b"\r\n"
_BREAK = len(_END)
_MESSAGES = {b"MSG": 5, b"HMSG": 6}  # with the words of its first line, if somebody may reply


class Heard(msgspec.Struct, frozen=True, gc=False):
    """One message, as it came; the names are those of nats-py's."""

    subject: str
    reply: str
    headers: dict[str, str] | None
    data: bytes


Hears = Callable[[Heard], None]


class Parser(parser.Parser):
    """Hands messages to those who hear them, at once and in order, and to nats-py those of its own subscriptions."""

    def __init__(self, nc: Client) -> None:
        self.hears: dict[int, Hears] = {}  # by the number of their subscription
        super().__init__(nc)

    def reset(self) -> None:
        """Forgets what came; for a new connection."""
        super().reset()
        self._rest = bytearray()  # what came of a message that is not whole yet
        self._wanted = 0  # bytes of it, below which there is no use in looking

    async def parse(self, data: bytes = b"") -> None:
        """Takes what came from the server. Raises ``ProtocolError``."""
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._wanted:
                return
            data = bytes(rest)
        at = self._wanted = 0
        while (end := data.find(_END, at)) >= 0:
            start = end + _BREAK
            words = data[at:end].split()
            if not words or words[0] not in _MESSAGES:
                await super().parse(data[at:start])
                at = start
                continue
            try:
                sid, lead, stop = int(words[2]), int(words[-2]) if words[0] == b"HMSG" else 0, start + int(words[-1])
            except (ValueError, IndexError):
                raise ProtocolError("nats: malformed message") from None
            if stop + _BREAK > len(data):
                self._wanted = stop + _BREAK - at
                break
            reply = words[3] if len(words) == _MESSAGES[words[0]] else b""
            headers, body = data[start : start + lead], data[start + lead : stop]
            hears = self.hears.get(sid)
            if hears is None:
                await self.nc._process_msg(sid, words[1], reply, body, headers or None)  # noqa: SLF001 - as nats-py's own does
            else:
                carried = _plain(headers) if lead else None
                if lead and carried is None:
                    carried = await self.nc._process_headers(headers)  # noqa: SLF001
                hears(Heard(words[1].decode(), reply.decode(), carried, body))
            at = stop + _BREAK
        rest[:] = data[at:]  # the rest of a connection that was replaced meanwhile has gone with it


def _plain(headers: bytes) -> dict[str, str] | None:
    """Headers as our own services write them; None when there are none, or anything about them wants a closer look."""
    if not headers.startswith(_NO_STATUS):
        return None
    try:
        lines = headers[len(_NO_STATUS) : -2 * _BREAK].decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        if not colon:
            return None
        found[name] = value
    return found
