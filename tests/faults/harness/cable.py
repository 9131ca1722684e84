"""A cable between a part and NATS: what goes through can be cut, refused, or swallowed without a word."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

_PIECE_BYTES = 1 << 16


class Cable:
    """One listener on loopback, and the connections through it. ``url`` is what the part is told instead of the server's."""

    def __init__(self) -> None:
        self._target = ("127.0.0.1", 0)
        self._through: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._refuses = False
        self.url = ""
        self.cuts = 0

    @contextlib.asynccontextmanager
    async def plugged(self) -> AsyncGenerator["Cable", None]:
        """Takes connections for the time of the context."""
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = "nats://{}:{}".format(*server.sockets[0].getsockname())
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    def lead_to(self, url: str) -> None:
        """Says where the server is; to be called before anybody connects."""
        host, _, port = url.removeprefix("nats://").rpartition(":")
        self._target = (host, int(port))

    def cut(self) -> None:
        """Resets every connection; both sides see it at once."""
        for one in tuple(self._through):
            self.cuts += 1
            one.transport.abort()

    def pull(self) -> None:
        """Cuts, and takes no new connection until ``mend``."""
        self._refuses = True
        self.cut()

    def swallow(self) -> None:
        """Nothing goes through any more, and nobody is told: as when a router between the two forgot about them."""
        self._open.clear()

    def mend(self, *, forget: bool = False) -> None:
        """All is well again; ``forget`` resets what was swallowed, instead of handing it on late."""
        self._refuses = False
        if forget:
            self.cut()
        self._open.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._through.add(writer)
        try:
            if self._refuses:
                writer.transport.abort()
                return
            theirs, ours = await asyncio.open_connection(*self._target)
            self._through.add(ours)
            try:
                both = [asyncio.create_task(self._pump(*one)) for one in ((reader, ours), (theirs, writer))]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
            finally:
                self._through.discard(ours)
                ours.transport.abort()
        except OSError:
            pass  # the server is down: so is the cable
        finally:
            self._through.discard(writer)
            writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(_PIECE_BYTES):
                await self._open.wait()
                sink.write(piece)
                await sink.drain()
