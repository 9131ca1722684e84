"""Frames on ``/ws``: what happened to documents, once it can be fetched; with ``?since=`` what was missed comes first."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

import msgspec
from litestar import WebSocket
from litestar.datastructures import State

from benchwire.documents import queries, wire
from benchwire.documents.document import TYPES, evolve
from benchwire.documents.store import Store
from benchwire.events import catalog
from benchwire.events.document import (
    DocumentCreated,
    DocumentDeleted,
    DocumentLinked,
    DocumentUnlinked,
    DocumentUpdated,
)
from benchwire.events.log import Log, Recorded
from benchwire.web.feed import Client, Feed
from benchwire.web.metrics import of_machinery

_TOPIC = "documents"
_MOST_MISSED = 1000

Socket = WebSocket[None, None, State]


class Shown(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A frame; ``seq`` is the place in the log of what it tells."""

    seq: int


class Created(Shown, frozen=True, kw_only=True, tag="document_created"):
    """A document came in."""

    document: wire.Document


class Updated(Shown, frozen=True, kw_only=True, tag="document_updated"):
    """Its tags, its metadata, how long it is kept, or its links changed."""

    document: wire.Document


class Deleted(Shown, frozen=True, kw_only=True, tag="document_deleted"):
    """It is gone."""

    document_id: str


class Resync(Shown, frozen=True, kw_only=True, tag="resync"):
    """More was missed than is told one by one: fetch the list anew."""


class Live:
    """Tells everybody on ``/ws`` what the projection has committed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._feed = Feed()
        of_machinery(store.metrics, store.bus, store.projection, self._feed)
        self._committed: asyncio.Queue[Sequence[Recorded]] = asyncio.Queue()
        store.projection.on_commit(self._take)

    def _take(self, events: Sequence[Recorded]) -> None:
        if self._feed.has(_TOPIC):
            self._committed.put_nowait(events)

    async def run(self) -> None:
        """Makes frames of commits, one after the other, until it is cancelled."""
        while True:
            for one in await self._committed.get():
                frame = await self._frame(one)
                if frame is not None:
                    self._feed.publish(_TOPIC, msgspec.json.encode(frame).decode(), one.sequence)

    async def _frame(self, one: Recorded) -> Shown | None:
        base_url = self._store.base_url
        match one.event:
            case DocumentCreated() as event:
                created = evolve(None, event)
                assert created is not None
                return Created(seq=one.sequence, document=wire.shown(await self._store.related(created), base_url))
            case DocumentUpdated() | DocumentLinked() | DocumentUnlinked() as event:
                found = await self._store.projection.read(partial(queries.found, document_id=event.document_id))
                # It may be gone by now; the frame that says so follows.
                return Updated(seq=one.sequence, document=wire.shown(found, base_url)) if found else None
            case DocumentDeleted() as event:
                return Deleted(seq=one.sequence, document_id=event.document_id)
            case _:
                return None

    async def attend(self, socket: Socket) -> None:
        """Serves one socket until either side ends."""
        since = socket.query_params.get("since") or ""
        # What is no sequence cannot be resumed from; such a client starts now, as one without it.
        await self._feed.attend(
            socket,
            _TOPIC,
            partial(self._greet, since=int(since[:18]) if since.isdecimal() and since.isascii() else None),
        )

    async def _greet(self, client: Client, *, since: int | None) -> None:
        until = self._store.projection.state.applied
        first = [] if since is None or since >= until else await self._missed(since, until)
        client.open(first, after=until if since is not None else 0)

    async def _missed(self, since: int, until: int) -> list[str]:
        """The frames after ``since``, up to ``until``."""
        frames: list[Shown] = []
        if (await Log(self._store.bus).beginning()).hides(since):  # what it missed can no longer be told
            return [msgspec.json.encode(Resync(seq=until)).decode()]
        async with aclosing(Log(self._store.bus).read(catalog.filters_of(TYPES), after=since)) as events:
            async for one in events:
                if one.sequence > until:
                    break
                if (frame := await self._frame(one)) is not None:
                    frames.append(frame)
                if len(frames) > _MOST_MISSED:
                    frames = [Resync(seq=until)]
                    break
        return [msgspec.json.encode(frame).decode() for frame in frames]
