"""Frames on ``/ws``: what happened to documents, once it can be fetched."""

import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
from litestar import WebSocket
from litestar.datastructures import State

from benchwire.documents import queries, wire
from benchwire.documents.document import evolve
from benchwire.documents.store import Store
from benchwire.events.document import DocumentCreated, DocumentDeleted, DocumentUpdated
from benchwire.events.log import Recorded
from benchwire.web.feed import Client, Feed

_TOPIC = "documents"

Socket = WebSocket[None, None, State]


class Shown(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A frame; ``seq`` is the place in the log of what it tells."""

    seq: int


class Created(Shown, frozen=True, kw_only=True, tag="document_created"):
    """A document came in."""

    document: wire.Document


class Updated(Shown, frozen=True, kw_only=True, tag="document_updated"):
    """Its tags or metadata changed."""

    document: wire.Document


class Deleted(Shown, frozen=True, kw_only=True, tag="document_deleted"):
    """It is gone."""

    document_id: str


class Live:
    """Tells everybody on ``/ws`` what the projection has committed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._feed = Feed()
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
                return Created(seq=one.sequence, document=wire.shown(created, base_url)) if created else None
            case DocumentUpdated() as event:
                found = await self._store.projection.read(partial(queries.document, document_id=event.document_id))
                # It may be gone by now; the frame that says so follows.
                return Updated(seq=one.sequence, document=wire.shown(found, base_url)) if found else None
            case DocumentDeleted() as event:
                return Deleted(seq=one.sequence, document_id=event.document_id)
            case _:
                return None

    async def attend(self, socket: Socket) -> None:
        """Serves one socket until either side ends."""
        await self._feed.attend(socket, _TOPIC, _greet)


async def _greet(client: Client) -> None:
    client.open()
