"""For tests: a service served in this process until the test is done with it, free ports, and what every refusal looks like."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, Protocol

OnReady = Callable[[int], None]


@contextlib.asynccontextmanager
async def running(
    serve: Callable[[OnReady], Coroutine[Any, Any, None]], *, within_s: float = 15.0
) -> AsyncGenerator[int, None]:
    """Runs ``serve(on_ready)`` beside the body, which gets the port; cancelled and awaited at the end. What it raises is raised."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(ready.set_result))
    either: list[asyncio.Future[Any]] = [serving, ready]
    try:
        async with asyncio.timeout(within_s):
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await serving
            raise AssertionError("the service ended before it served")
        yield ready.result()
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        if not serving.cancelled() and (error := serving.exception()) is not None:
            raise error


def free_ports(count: int) -> list[int]:
    """So many ports of this machine that nobody has at this moment; for who has to know a port before something listens there."""
    with contextlib.ExitStack() as taken:
        servers = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(server.getsockname()[1]) for server in servers]


class Answer(Protocol):
    """What a service answered, as HTTP clients give it."""

    @property
    def status_code(self) -> int:
        """The status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By names in any case."""

    @property
    def text(self) -> str:
        """The body."""

    def json(self) -> Any:
        """The same, read."""


def refused(answer: Answer, status: int, *words: str) -> str:
    """The sentence of ``answer``, which refuses with ``status`` as every service here does; each of ``words`` is in it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.text
    body = answer.json()
    assert body["status_code"] == status, body
    for word in words:
        assert word in body["detail"], body
    return str(body["detail"])
