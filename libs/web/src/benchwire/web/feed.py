"""One stream of frames to many readers, where a slow one is told and dropped, and never slows another.

Publishing is a plain call: the frame, encoded once, goes into the outbox of each reader that listens to the topic. The more readers there are,
the longer frames are gathered before they are handed out together, so that the cost of a write is shared by many. A WebSocket is served by
``attend``, with a task that sends; whoever answers in another way takes the frames from ``heard``. Nobody waits for anybody.

A client that asks for it (``?batch=1``) gets arrays of what others get one by one: a frame costs more than what is in it.
"""

import asyncio
import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from typing import Any

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from benchwire.events.log import LogUnavailable
from benchwire.events.projection import ProjectionBehind
from benchwire.web.outbox import Gathered, Listener, item
from benchwire.web.outlet import outlet_of
from benchwire.web.sockets import TRY_AGAIN_LATER, fitting

log = logging.getLogger(__name__)

INTERNAL_ERROR = 1011
OUTBOX_BYTES = 8 << 20
_LAST_WORDS_S = 5.0
_LINGER_S = 50e-6  # for each listener: about what it costs to write to one
_MOST_LINGER_S = 0.025

Socket = WebSocket[Any, Any, Any]
OnText = Callable[[str], Awaitable[str | None]]


class Client(Listener):
    """A reader on a WebSocket, which may have asked for arrays."""

    def __init__(self, socket: Socket, *, limit_bytes: int, gathers: bool = False) -> None:
        super().__init__(limit_bytes=limit_bytes, gathers=gathers)
        self._socket = socket

    async def send_all(self) -> None:
        """Sends what is put, until the client turns out too slow; it is told then."""
        outlet = outlet_of(self._socket.scope)
        async with aclosing(self.writes()) as writes:
            async for frames in writes:
                await outlet.write(frames)
        async with asyncio.timeout(_LAST_WORDS_S):
            await self._socket.close(code=TRY_AGAIN_LATER, reason="too slow: connect again and ask for what was missed")


class Feed:
    """Topics and who listens to them. ``dropped`` counts the clients that were too slow."""

    def __init__(self, *, outbox_bytes: int = OUTBOX_BYTES) -> None:
        self._outbox_bytes = outbox_bytes
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._gathered: dict[str, Gathered] = {}
        self._sent_to_gone = 0
        self.dropped = 0

    @property
    def clients(self) -> int:
        """How many are connected, over all topics."""
        return sum(len(clients) for clients in self._listeners.values())

    @property
    def sent(self) -> int:
        """How many frames were sent, to all clients there ever were."""
        return self._sent_to_gone + sum(client.sent for clients in self._listeners.values() for client in clients)

    def listeners(self) -> Counter[str]:
        """How many are connected, by the kind of topic: the first word of its name."""
        found: Counter[str] = Counter()
        for topic, clients in self._listeners.items():
            found[topic.partition(" ")[0]] += len(clients)
        return found

    def has(self, topic: str) -> bool:
        """Whether anybody listens, so that it is worth making a frame."""
        return topic in self._listeners

    def publish(self, topic: str, frame: str, sequence: int | None = None, *, last: bool = False) -> None:
        """Sends ``frame`` to everybody who listens to ``topic``; ``last`` says that nothing follows it there."""
        if topic not in self._listeners:
            return
        if (gathered := self._gathered.get(topic)) is None:
            gathered = self._gathered[topic] = Gathered()
            linger_s = min(len(self._listeners[topic]) * _LINGER_S, _MOST_LINGER_S)
            asyncio.get_running_loop().call_later(linger_s, self._hand_out, topic)
        gathered.items.append(item(frame, sequence, last=last))

    def give_up(self) -> None:
        """Drops all readers of all topics, each of which may come again: frames cannot be made as fast as things happen."""
        for listener in [one for listeners in self._listeners.values() for one in listeners]:
            listener.give_up()

    def _hand_out(self, topic: str) -> None:
        gathered = self._gathered.pop(topic)
        for client in self._listeners.get(topic, ()):
            client.hear(gathered)

    @contextlib.contextmanager
    def heard(self, topic: str) -> Generator[Listener, None, None]:
        """A listener to ``topic`` for the time of the context."""
        listener = Listener(limit_bytes=self._outbox_bytes)
        with self._listening(topic, listener):
            yield listener

    @contextlib.contextmanager
    def _listening(self, topic: str, client: Listener) -> Generator[None, None, None]:
        self._listeners[topic].add(client)
        try:
            yield
        finally:
            self._listeners[topic].discard(client)
            self._sent_to_gone += client.sent
            self.dropped += client.too_slow
            if not self._listeners[topic]:
                del self._listeners[topic]

    async def attend(
        self,
        socket: Socket,
        topic: str,
        greet: Callable[[Client], Awaitable[None]],
        on_text: OnText | None = None,
        *,
        pong: Callable[[], str] = lambda: '{"type":"pong"}',
    ) -> None:
        """Accepts ``socket`` and serves it until either side ends.

        ``greet`` calls ``client.open`` with the first frames. ``{"type":"ping"}`` is answered with ``pong()``; any other text goes to
        ``on_text``, which may return a frame that answers it.
        """
        await socket.accept()
        client = Client(socket, limit_bytes=self._outbox_bytes, gathers=_gathers(socket))
        with self._listening(topic, client), contextlib.suppress(WebSocketDisconnect, TimeoutError):
            async with _first_to_end(client.send_all(), _receive(socket, client, on_text, pong)):
                try:
                    await greet(client)
                except (LogUnavailable, ProjectionBehind) as error:
                    await socket.close(code=TRY_AGAIN_LATER, reason=fitting(f"{error}; connect again"))
                except Exception:
                    log.exception("%s could not be greeted", socket.url.path)
                    await socket.close(code=INTERNAL_ERROR, reason="something went wrong here; connect again")


@contextlib.asynccontextmanager
async def _first_to_end(*parts: Any) -> AsyncGenerator[None, None]:
    """Runs ``parts`` beside the body, then until the first of them ends; what it raised is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        yield
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception) and not _is_an_end(result):
            raise result


def _is_an_end(error: Exception) -> bool:
    # uvicorn's ClientDisconnected is an OSError
    return isinstance(error, WebSocketDisconnect | OSError | TimeoutError)


async def _receive(socket: Socket, client: Client, on_text: OnText | None, pong: Callable[[], str]) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if not isinstance(text, str):
            continue
        if is_ping(text):
            client.put(pong())
        elif on_text is not None and (answer := await on_text(text)) is not None:
            client.put(answer)


def _gathers(socket: Socket) -> bool:
    """Whether the client asked for arrays."""
    return socket.query_params.get("batch") in ("1", "true")


async def last_words(socket: Socket, frame: str, *, code: int, reason: str) -> None:
    """Accepts a WebSocket to say why it is not served, in ``frame``, and closes it."""
    await socket.accept()
    await socket.send_text(f"[{frame}]" if _gathers(socket) else frame)
    await socket.close(code=code, reason=fitting(reason))


class _Typed(msgspec.Struct):
    type: str


_typed = msgspec.json.Decoder(_Typed)


def is_ping(text: str) -> bool:
    """Whether a client's frame asks for a sign of life: ``{"type": "ping"}``."""
    if len(text) > 256:
        return False
    try:
        return _typed.decode(text).type.lower() == "ping"
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return False
