"""One stream of frames to many WebSockets, where a slow reader is told and dropped, and never slows another.

Publishing is a plain call: it puts the frame, encoded once, into the outbox of each client that listens to the topic. A task per client
sends; nobody waits for anybody.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

log = logging.getLogger(__name__)

TOO_SLOW = 1013
INTERNAL_ERROR = 1011
OUTBOX_BYTES = 8 << 20
_LAST_WORDS_S = 5.0

Socket = WebSocket[Any, Any, Any]
OnText = Callable[[str], Awaitable[None]]


class _Item(NamedTuple):
    frame: str
    sequence: int | None
    counted_bytes: int


class Client:
    """One connected reader and what it is still to be sent.

    It starts held: what is published meanwhile is kept until ``open`` has put the first frames in front of it, so that a snapshot and what
    follows it meet without a gap and without a double.
    """

    def __init__(self, socket: Socket, *, limit_bytes: int) -> None:
        self._socket = socket
        self._limit_bytes = limit_bytes
        self._outbox: deque[_Item] = deque()
        self._outbox_bytes = 0
        self._after = 0
        self._held = True
        self._wake = asyncio.Event()
        self.too_slow = False

    def put(self, frame: str, sequence: int | None = None) -> None:
        """Sends ``frame`` when its turn comes. One whose ``sequence`` was already covered by ``open`` is left out."""
        if self.too_slow or (sequence is not None and sequence <= self._after):
            return
        item = _Item(frame, sequence, _bytes_of(frame))
        self._outbox.append(item)
        self._outbox_bytes += item.counted_bytes
        if self._outbox_bytes > self._limit_bytes:
            self._give_up()
        self._wake.set()

    def open(self, first: Iterable[str] = (), *, after: int = 0) -> None:
        """Puts ``first`` in front, which tell everything up to the sequence ``after``, and lets the rest follow."""
        self._after = after
        kept = [one for one in self._outbox if one.sequence is None or one.sequence > after]
        # The first frames are what was asked for, however much that is; the limit is for what piles up behind them.
        self._outbox = deque([*(_Item(frame, None, 0) for frame in first), *kept])
        self._outbox_bytes = sum(one.counted_bytes for one in kept)
        self._held = False
        self._wake.set()

    def _give_up(self) -> None:
        self.too_slow = True
        self._outbox.clear()
        self._outbox_bytes = 0

    async def send_all(self) -> None:
        """Sends what is put, until the client turns out too slow; it is told then."""
        while not self.too_slow:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox and not self._held:
                item = self._outbox.popleft()
                self._outbox_bytes -= item.counted_bytes
                await self._socket.send_data(item.frame, mode="text")
        async with asyncio.timeout(_LAST_WORDS_S):
            await self._socket.close(code=TOO_SLOW, reason="too slow: connect again and ask for what was missed")


class Feed:
    """Topics and who listens to them."""

    def __init__(self, *, outbox_bytes: int = OUTBOX_BYTES) -> None:
        self._outbox_bytes = outbox_bytes
        self._listeners: defaultdict[str, set[Client]] = defaultdict(set)

    @property
    def clients(self) -> int:
        """How many are connected, over all topics."""
        return sum(len(clients) for clients in self._listeners.values())

    def has(self, topic: str) -> bool:
        """Whether anybody listens, so that it is worth making a frame."""
        return topic in self._listeners

    def publish(self, topic: str, frame: str, sequence: int | None = None) -> None:
        """Puts ``frame`` into the outbox of everybody who listens to ``topic``."""
        for client in self._listeners.get(topic, ()):
            client.put(frame, sequence)

    @contextlib.contextmanager
    def _listening(self, topic: str, client: Client) -> Any:
        self._listeners[topic].add(client)
        try:
            yield
        finally:
            self._listeners[topic].discard(client)
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
        ``on_text``.
        """
        await socket.accept()
        client = Client(socket, limit_bytes=self._outbox_bytes)
        with self._listening(topic, client), contextlib.suppress(WebSocketDisconnect, TimeoutError):
            async with _first_to_end(client.send_all(), _receive(socket, client, on_text, pong)):
                try:
                    await greet(client)
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
        elif on_text is not None:
            await on_text(text)


def _bytes_of(frame: str) -> int:
    return len(frame) if frame.isascii() else len(frame.encode())


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
