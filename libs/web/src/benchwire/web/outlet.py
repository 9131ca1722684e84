"""WebSocket frames that are encoded once for everybody, and written many at a time.

ASGI takes one message at a time, and uvicorn encodes and writes each by itself. With hundreds of readers of one feed most of a core goes into
that. So the protocol that serves WebSockets here also takes frames that are encoded already, as ``scope["extensions"][OUTLET]``.
"""

from typing import Any, cast

import msgspec
from litestar.types import Scope
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

OUTLET = "benchwire.outlet"


class Text(msgspec.Struct):
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
    """uvicorn's protocol, with a way for frames that are encoded already."""

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


def outlet_of(scope: Scope) -> Outlet:
    """The outlet of a WebSocket that ``benchwire.web.serve`` serves."""
    return cast("Outlet", cast("dict[str, Any]", scope["extensions"])[OUTLET])
