"""Speaking with a server over HTTP, within bounds."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from typing import TypeVar

import httpx2
from mcp.client.streamable_http import streamable_http_client

from benchwire.agent.toolbox.mcp import destinations
from benchwire.agent.toolbox.mcp.programs import Said, Streams

Problem = TypeVar("Problem", bound=httpx2.TransportError)

MAX_ANSWER_BYTES = 8 << 20
CONNECT_S = 10.0
GOODBYE_S = 0.5

# They tell addresses, and an address may hold what a variable did. What goes wrong is told where somebody waits for it.
logging.getLogger("httpx2").setLevel(logging.WARNING)
logging.getLogger("mcp").setLevel(logging.CRITICAL)


class TooLong(httpx2.ReadError):
    """An answer has more bytes than are taken."""

    def __init__(self) -> None:
        super().__init__(f"it sent an answer of more than {MAX_ANSWER_BYTES} bytes")


class Packed(httpx2.ReadError):
    """An answer is compressed: few bytes could become very many."""

    def __init__(self, how: str) -> None:
        super().__init__(f"it sent an answer compressed ({how[:40]!r}), which was not asked for")


class _Bounded(httpx2.AsyncHTTPTransport):
    """Breaks off answers that are too long, and says so in ``said``; of streams of events, the SDK bounds each event.

    It connects to public addresses only, and to hosts that are ``allowed``.
    """

    def __init__(self, said: Said, allowed: Collection[str]) -> None:
        super().__init__()
        self._said = said
        self._allowed = allowed

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "DELETE":
            return await self._told_goodbye(request)
        response = await self._reached(request)
        if (how := response.headers.get("content-encoding", "identity").lower()) != "identity":
            await response.aclose()
            raise _told(Packed(how), self._said)
        # Of an answer that is no success the SDK takes the whole, whatever it says to be.
        is_stream = response.is_success and response.headers.get("content-type", "").startswith("text/event-stream")
        if not is_stream:
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Counted(response.stream, self._said)
        return response

    async def _told_goodbye(self, request: httpx2.Request) -> httpx2.Response:
        """The SDK waits for what a server says to that, also when the session was stopped. Raises ``TimeoutError``."""
        async with asyncio.timeout(GOODBYE_S):
            response = await self._reached(request)
            await response.aclose()
        return httpx2.Response(response.status_code, request=request)

    async def _reached(self, request: httpx2.Request) -> httpx2.Response:
        """What the first of the host's addresses that can be connected to answers."""
        if destinations.is_allowed(request.url, self._allowed):
            return await super().handle_async_request(request)
        try:
            first, *others = await destinations.checked(request.url, within_s=CONNECT_S)
        except (destinations.Refused, destinations.Unknown) as problem:
            raise _told(problem, self._said) from None
        for address in (first, *others):
            try:
                return await super().handle_async_request(destinations.directed(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as problem:
                unreached = problem
        raise unreached


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, said: Said) -> None:
        self._inner = inner
        self._said = said

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ANSWER_BYTES
        async for piece in self._inner:
            left -= len(piece)
            if left < 0:
                raise _told(TooLong(), self._said)
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


def _told(problem: Problem, said: Said) -> Problem:
    """``problem``, which ends the connection; whoever waits for an answer hears only that it was closed."""
    said.unheard = str(problem)
    return problem


@contextlib.asynccontextmanager
async def spoken_with(
    url: str, said: Said, *, headers: Mapping[str, str], timeout_s: float, allowed: Collection[str]
) -> AsyncGenerator[Streams, None]:
    """A connection for the time of the context; hosts that are not public have to be ``allowed``.

    Redirects are followed only within the address's own origin, by the SDK.
    """
    client = httpx2.AsyncClient(
        headers={**headers, "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(timeout_s, connect=CONNECT_S),
        transport=_Bounded(said, allowed),
        trust_env=False,
    )
    async with client, streamable_http_client(url, http_client=client, max_sse_event_size=MAX_ANSWER_BYTES) as streams:
        yield streams
