"""What happens in a session, from its beginning to its end, each event once; a connection that breaks is made again."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import msgspec
from websockets.exceptions import WebSocketException

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy.client import AGAIN_S, AWAY_S, Client
from benchwire.events import codec
from benchwire.events.event import Event

RUNNING = ("running", "stopping")
_ENDS = ("session_stop", "session_failed", "session_stopped")


class Seen(msgspec.Struct, frozen=True):
    """One event: as the lab tells it, and as it stands in the log, if it is known here."""

    told: dict[str, Any]
    event: Event | None


class Delta(msgspec.Struct, frozen=True):
    """A piece of what the model is about to say."""

    text: str


async def known(client: Client, session_id: str) -> dict[str, Any]:
    """The session of that id. Raises ``Refused`` when there is none."""
    session = await client.session(session_id)
    if session is None:
        raise Refused(404, f"there is no session {session_id!r}")
    return session


async def followed(
    client: Client, session_id: str, *, deltas: bool = False, after: int = 0
) -> AsyncGenerator[Seen | Delta, None]:
    """All that happens behind the event ``after``, until the session has ended.

    Raises ``Refused``, also when the session is deleted, and ``NoLab`` when the lab is away for ``AWAY_S``.
    """
    following = _Following(client, session_id, after)
    loop = asyncio.get_running_loop()
    away_at: float | None = None
    while True:
        trouble = NoLab(f"the lab at {client.url} is away, and {session_id} cannot be followed any more")
        try:
            async with contextlib.aclosing(following.until_broken(deltas=deltas)) as happening:
                async for one in happening:
                    yield one
        except NoLab as error:
            trouble = error
        if following.is_over:
            return
        away_at = loop.time() if following.is_heard or away_at is None else away_at
        if loop.time() - away_at > AWAY_S:
            raise trouble
        await asyncio.sleep(AGAIN_S)


class _Following:
    """One session, and how far it was told.

    ``is_over``: it has ended, and all of it was told. ``is_heard``: the last connection told something.
    """

    def __init__(self, client: Client, session_id: str, after: int) -> None:
        self.is_over = False
        self.is_heard = False
        self._client = client
        self._session_id = session_id
        self._last = after

    async def until_broken(self, *, deltas: bool) -> AsyncGenerator[Seen | Delta, None]:
        """What is new, until the session has ended or the connection breaks."""
        self.is_heard = False
        with contextlib.suppress(WebSocketException, OSError, TimeoutError):
            async with contextlib.aclosing(self._client.session_frames(self._session_id, deltas=deltas)) as frames:
                async for frame in frames:
                    self.is_heard = True
                    async for one in self._of(frame):
                        yield one
                    if self.is_over:  # which may be known before all that led to it was heard
                        async for told in self._client.events(self._session_id, after=self._last):
                            yield self._seen(told)
                        return

    async def _of(self, frame: dict[str, Any]) -> AsyncGenerator[Seen | Delta, None]:
        match frame:
            case {"type": "init"}:  # from here on nothing is missed
                async for told in self._client.events(self._session_id, after=self._last):
                    yield self._seen(told)
                await self._look()
            case {"type": "event", "data": {"id": int(place)} as told} if place > self._last:
                yield self._seen(told)
                if told.get("event_type") in _ENDS:
                    await self._look()
            case {"type": "delta", "session_id": self._session_id, "text": str(text)}:
                yield Delta(text)
            case {"type": "session_deleted", "session_id": self._session_id}:
                raise Refused(httpx.codes.GONE, f"{self._session_id} was deleted")
            case {"type": "session_updated"}:
                await self._look()

    def _seen(self, told: dict[str, Any]) -> Seen:
        self._last = told["id"]
        return seen(told)

    async def _look(self) -> None:
        """An end may be followed by a message, with which it goes on; and one that nobody took yet ends without an event of its own."""
        session = await known(self._client, self._session_id)
        self.is_over = session["status"] not in RUNNING


def seen(told: dict[str, Any]) -> Seen:
    """An event as the lab tells it."""
    try:
        event = codec.decode(msgspec.json.encode(told))
    except codec.Malformed:
        return Seen(told, None)
    return Seen(told, None if isinstance(event, codec.Unknown) else event)
