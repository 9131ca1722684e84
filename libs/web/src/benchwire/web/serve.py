"""Serving an app in the loop that runs: uvicorn without its own ideas of signals, logs and loops."""

import asyncio
import contextlib
import errno
import gc
import logging
import socket
from collections.abc import Callable, Generator
from functools import partial
from typing import cast

import uvicorn
import uvloop
from litestar.types import ASGIApp, Receive, Scope, Send

from benchwire.events import service
from benchwire.web.gate import Gate
from benchwire.web.inlet import Inlet
from benchwire.web.outlet import Outlet
from benchwire.web.settings import WebSettings

_BACKLOG = 2048
_GRACE_S = 1
_END_S = 1.8
_WS_MESSAGE_BYTES = 1 << 20
_SILENT_PEER_MS = 60_000
_OF_EVERY_END = (
    "Cancel %s running task(s), timeout graceful shutdown exceeded",
    "ASGI callable returned without completing response.",
)


def fast_loop() -> None:
    """Lets loops that start from now on be uvloop's; for the first line of a service's ``main``."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def settled(_port: int) -> None:
    """For ``on_ready`` of a service that is a process of its own: it is up, and what is there when it serves is there to stay.

    The garbage collector would look at all of it again and again, and with the modules of a web framework that stops the loop for 150 ms.
    """
    gc.collect()
    gc.freeze()
    service.ready()


async def serve(
    app: ASGIApp, *, host: str, port: int, gate: Gate | None = None, on_ready: Callable[[int], None] | None = None
) -> None:
    """Serves ``app`` until it is cancelled, and then ends in less than two seconds, whoever is still connected.

    ``gate`` has the limits of connections; without it they are the usual ones. ``on_ready`` is called with the port once connections are
    accepted (with ``port`` 0 a free one was taken). Raises ``OSError`` with a sentence that names the port when it cannot be had.
    """
    listening = _listening(host, port)
    taken: int = listening.getsockname()[1]
    gate = gate or Gate(WebSettings())
    server = _Server(_config(app, gate), lambda: on_ready(taken) if on_ready is not None else None)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name=f"serve-{taken}")
    try:
        async with gate.watched():
            await asyncio.shield(serving)
    finally:
        server.should_exit = True
        with _quietly():
            _, late = await asyncio.wait([serving], timeout=_END_S)
        for one in late:
            one.cancel()
        listening.close()


def _config(app: ASGIApp, gate: Gate) -> uvicorn.Config:
    return uvicorn.Config(
        _cut_off_quietly(app),
        http=cast("type[asyncio.Protocol]", partial(Inlet, gate=gate)),
        ws=cast("type[asyncio.Protocol]", partial(Outlet, gate=gate)),
        ws_per_message_deflate=False,  # costs more than it saves on small frames
        ws_max_size=_WS_MESSAGE_BYTES,
        lifespan="on",
        log_config=None,
        log_level="warning",  # below that it writes URLs, and a WebSocket's URL may hold the token
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _cut_off_quietly(app: ASGIApp) -> ASGIApp:
    """uvicorn cancels what still runs when its grace is over (a stream without end), and would log each with a traceback."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return called


@contextlib.contextmanager
def _quietly() -> Generator[None, None, None]:
    """A stream without end is cut off when the service ends: that is no error, but uvicorn has two lines for it."""
    uvicorns = logging.getLogger("uvicorn.error")

    def is_news(record: logging.LogRecord) -> bool:
        return record.msg not in _OF_EVERY_END

    uvicorns.addFilter(is_news)
    try:
        yield
    finally:
        uvicorns.removeFilter(is_news)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leaves signals to ``benchwire.events.service``."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and says so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise OSError(f"{host} is not an address of this machine: {error.strerror}") from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by what is accepted: a peer that takes nothing for this long loses its connection, and its buffers are freed.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_PEER_MS)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise _in_words(error, host, port) from error
    listening.setblocking(False)  # noqa: FBT003
    return listening


def _in_words(error: OSError, host: str, port: int) -> OSError:
    match error.errno:
        case errno.EADDRINUSE:
            sentence = f"port {port} on {host} is taken by another program; stop it, or choose another port"
        case errno.EACCES:
            sentence = f"port {port} on {host} may not be used by this user; choose one above 1023"
        case errno.EADDRNOTAVAIL:
            sentence = f"{host} is not an address of this machine, so port {port} cannot be served on it"
        case _:
            sentence = f"port {port} on {host} cannot be served: {error.strerror}"
    told = OSError(sentence)
    told.errno = error.errno
    return told
