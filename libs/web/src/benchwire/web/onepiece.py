"""What an answer is written with: its head goes out together with what follows at once, so that a client is woken once, and reads once."""

import asyncio


class OnePiece:
    """The ``transport`` of one answer, as far as uvicorn writes to it."""

    __slots__ = ("_held", "_loop", "_transport", "_turn")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self._turn: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        """Writes ``data``; the first of it at the end of this turn of the loop, if nothing follows sooner."""
        if self._turn is None:
            self._held = data
            self._turn = self._loop.call_soon(self.flush)
        elif self._held:
            held, self._held = self._held, b""
            self._turn.cancel()
            self._transport.writelines((held, data))
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Holds nothing back. Of a connection that is closed by now nobody reads it."""
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)

    def is_closing(self) -> bool:
        """Whether what is written now goes nowhere."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Closes the connection behind what was written."""
        self.flush()
        self._transport.close()
