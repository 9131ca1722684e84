"""WebSocket frames that are encoded once for everybody, and written many at a time.

ASGI takes one message at a time, and uvicorn encodes and writes each by itself. With hundreds of readers of one feed most of a core goes into
that. So the protocol that serves WebSockets here also takes frames that are encoded already, as ``scope["extensions"][OUTLET]``.
"""

from asyncio import BaseTransport
from collections.abc import Callable
from typing import Any, cast

import msgspec
from litestar.types import Scope
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from benchwire.web.gate import Gate, Peer
from benchwire.web.refusal import Refused
from benchwire.web.sockets import INVALID_DATA, POLICY_VIOLATION

OUTLET = "benchwire.outlet"
_READ_BYTES = 4 << 10
_MOST_PARTS = 1024
_BAD_OPENING = Refused(
    400, "the opening of the WebSocket cannot be read: a header of it is too long, or not one", "malformed"
)


class Text(msgspec.Struct, weakref=True):
    """A text that becomes the same frame for everybody; encoded when the first one wants it."""

    text: str
    _frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        """As it goes over the wire: one unmasked text frame (RFC 6455, 5.2)."""
        if self._frame is None:
            self._frame = Frame(Opcode.TEXT, self.text.encode()).serialize(mask=False)
        return self._frame

    @property
    def size_bytes(self) -> int:
        """Of the text in UTF-8."""
        return len(self.text) if self.text.isascii() else len(self.text.encode())


class Outlet(WebSocketsSansIOProtocol):
    """uvicorn's protocol, with a way for frames that are encoded already, and with the limits of ``gate`` on those that come in."""

    kind = "websocket"

    def __init__(self, *args: Any, gate: Gate, **more: Any) -> None:
        super().__init__(*args, **more)
        self._gate = gate
        self._most = gate.settings.socket_messages_per_s
        self._peer: Peer | None = None
        self._rest = b""  # came, and is not read yet
        self._waits = False  # and for what it waits will call

    def handle_connect(self, event: Request) -> None:
        """Begins to serve a WebSocket; whoever serves it finds the outlet in its scope."""
        super().handle_connect(event)
        if not self.close_sent:
            cast("dict[str, Any]", self.scope["extensions"])[OUTLET] = self

    async def write(self, frames: bytes) -> None:
        """Writes ``frames`` when the peer has taken enough of what went before. Raises ``ClientDisconnected`` (an ``OSError``)."""
        await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        self.transport.write(frames)

    # The connection

    def connection_made(self, transport: BaseTransport) -> None:
        """Takes the connection over."""
        super().connection_made(transport)
        visit = self._gate.visit(self.transport)
        visit.served_by = self
        self._peer = visit.peer

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self._rest = b""
        self._gate.leave(self.transport)
        super().connection_lost(exc)

    def look(self, passed_s: float) -> None:
        """Nothing to look after: uvicorn's pings find out who is gone."""

    def cut_off(self) -> None:
        """Ends at once."""
        self.transport.abort()

    # What comes in: a little at a time, so that a flood of tiny frames keeps nobody else waiting

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        if self._rest or self._waits:
            self._rest += data
        elif len(data) > _READ_BYTES or self._is_flooding:
            self._rest = data
            self._read_on()
        else:
            super().data_received(data)

    @property
    def _is_flooding(self) -> bool:
        return self._peer is not None and 0 < self._most < self._peer.messages

    def _read_on(self) -> None:
        """Reads a piece of what came, and the rest later."""
        self._waits = False
        if self._is_flooding:
            self._gate.count("socket_messages")
            self._wait(self._gate.hold)
            return
        piece, self._rest = self._rest[:_READ_BYTES], self._rest[_READ_BYTES:]
        super().data_received(piece)
        if self._rest and not self.read_paused:
            self._wait(self.loop.call_soon)

    def _wait(self, for_what: Callable[[Callable[[], None]], Any]) -> None:
        if not self.transport.is_closing():
            self._waits = True
            self.transport.pause_reading()
            for_what(self._go_on)

    def _go_on(self) -> None:
        if self.transport.is_closing():
            self._waits = False
            return
        self._read_on()
        if not self._rest and not self._waits and not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> Any:
        """The next message; when it was the last that was read, more is read."""
        message = await super().receive()
        if self._waits and not self.transport.is_closing():
            self.transport.pause_reading()  # which uvicorn has just ended
        elif self._rest and not self.read_paused:
            self._wait(self.loop.call_soon)
        return message

    def handle_events(self) -> None:
        """Counts frames, whoever of an address sends them."""
        if self._peer is not None:
            self._peer.messages += len(self.conn.events)
        super().handle_events()
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self._refuse_opening()

    def handle_cont(self, event: Frame) -> None:
        """Takes another part of a message: empty ones would not come to the end of its size."""
        super().handle_cont(event)
        if len(self.frames) > _MOST_PARTS:
            self._fail("socket_parts", POLICY_VIOLATION, f"a message may have {_MOST_PARTS} parts at most")

    def send_receive_event_to_app(self) -> None:
        """Passes a message on; one that is no text is refused, and not with a traceback in the log."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self._fail("malformed", INVALID_DATA, "the text is not UTF-8")
        else:
            super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answers, but keeps no answers for who does not take them: the newest is enough (RFC 6455, 5.5.3)."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def _fail(self, reason: str, code: int, sentence: str) -> None:
        self.frames = []
        if not self.close_sent:
            self._gate.count(reason)
            self.conn.fail(code, sentence)
            self.handle_parser_exception()

    def _refuse_opening(self) -> None:
        self._gate.count(_BAD_OPENING.reason)
        self.handshake_initiated = True
        self.transport.write(_BAD_OPENING.written())
        self.transport.close()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def outlet_of(scope: Scope) -> Outlet:
    """The outlet of a WebSocket that ``benchwire.web.serve`` serves."""
    return cast("Outlet", cast("dict[str, Any]", scope["extensions"])[OUTLET])
