"""Speaking with a server over HTTP, within bounds."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import httpx2
from mcp.client.streamable_http import streamable_http_client

from benchwire.agent.toolbox.mcp.programs import Streams

MAX_ANSWER_BYTES = 8 << 20
CONNECT_S = 10.0


class TooLong(httpx2.ReadError):
    """An answer has more bytes than are taken."""

    def __init__(self) -> None:
        super().__init__(f"an answer has more than {MAX_ANSWER_BYTES} bytes")


class _Bounded(httpx2.AsyncHTTPTransport):
    """Breaks off answers that are too long; of streams of events, the SDK bounds each event."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Counted(response.stream)
        return response


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ANSWER_BYTES
        async for piece in self._inner:
            left -= len(piece)
            if left < 0:
                raise TooLong
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


@contextlib.asynccontextmanager
async def spoken_with(url: str, *, headers: Mapping[str, str], timeout_s: float) -> AsyncGenerator[Streams, None]:
    """A connection for the time of the context. Redirects are followed only within the address's own origin, by the SDK."""
    client = httpx2.AsyncClient(
        headers=dict(headers),
        timeout=httpx2.Timeout(timeout_s, connect=CONNECT_S),
        transport=_Bounded(),
        trust_env=False,
    )
    async with client, streamable_http_client(url, http_client=client, max_sse_event_size=MAX_ANSWER_BYTES) as streams:
        yield streams
