"""What a document store can do: each of its acts, with its steps in the order that a crash may not disturb (see ``blobs``)."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from benchwire.documents import commands, queries, relations, things
from benchwire.documents.blobs import Freeing, Source
from benchwire.documents.cache import Cache
from benchwire.documents.document import TYPES, Document, evolve
from benchwire.documents.errors import BadUpload, DocumentNotFound, LinkTargetNotFound, UploadTooLarge
from benchwire.documents.metrics import Numbers
from benchwire.documents.queries import Found
from benchwire.documents.relations import Relations
from benchwire.documents.things import ARTIFACT, DOCUMENT, Thing
from benchwire.events.arriving import Arriving, BytesFreed
from benchwire.events.blobs import BlobMissing, Blobs, Data
from benchwire.events.bus import Bus
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Artifact, Event
from benchwire.events.log import Decided, Log, LogUnavailable
from benchwire.events.objects import ABANDONED_S
from benchwire.events.projection import Projection, ProjectionBehind

log = logging.getLogger(__name__)

_DEADLINE_S = 10.0


class Store:
    """Documents: written to the log, read from the projection. ``base_url`` is what their addresses begin with.

    ``max_bytes`` is for one document, ``limits`` are for all of them. ``grace_s`` is how long bytes are waited for that no event names.
    """

    def __init__(
        self,
        bus: Bus,
        projection: Projection,
        *,
        incoming: Path,
        cache: Cache,
        max_bytes: int,
        base_url: str,
        limits: commands.Limits | None = None,
        grace_s: float = ABANDONED_S,
    ) -> None:
        self.bus = bus
        self.projection = projection
        self.incoming = incoming
        self.max_bytes = max_bytes
        self.base_url = base_url
        self.limits = limits or commands.Limits()
        self.blobs = Blobs(bus)
        self.source = Source(self.blobs, cache)
        self.metrics = Numbers()
        self.metrics.of_store(bus, projection)
        self._log = Log(bus, on_append=self.metrics.appended)
        self.freeing = Freeing(self._log, projection, self.blobs, cache, grace_s=grace_s)

    async def check_quota(self, received: commands.Received | None = None) -> None:
        """Whether one more document has its place; with ``received``, whether its bytes have. Raises ``QuotaExceeded``.

        It is asked of the rows: of uploads that end at the same moment, a few may go over.
        """
        if self.limits == commands.Limits():
            return
        totals = await self.projection.read(queries.holdings)
        new_bytes = 0
        if received is not None:
            is_known = await self.projection.read(partial(queries.is_known, digest=received.digest))
            new_bytes = 0 if is_known else received.size_bytes
        commands.check_quota(totals, self.limits, new_bytes=new_bytes)

    def arriving(self) -> Arriving:
        """Bytes of an upload, which go into the store while they come, as far as the quota has a place for them."""
        return self.blobs.arriving(self._may_send)

    async def _may_send(self, size_bytes: int) -> bool:
        if not self.limits.total_bytes:
            return True
        totals = await self.projection.read(queries.holdings)
        return totals.size_bytes + self.blobs.unnamed_bytes + size_bytes <= self.limits.total_bytes

    async def create(self, received: commands.Received, data: Data, *, key: str | None = None) -> Document:
        """Keeps ``data`` as a document; a repeated ``key`` finds the document of the first time.

        Raises ``BadTag``, ``BadMetadata``, ``BadExpiry``, ``ChecksumMismatch``, ``QuotaExceeded``, ``KeyReused``, ``LogUnavailable`` and
        ``ProjectionBehind``.
        """
        document_id = f"doc_{uuid4().hex if key is None else sha256(key.encode()).hexdigest()[:32]}"
        event = commands.create(document_id, received, now=datetime.now(UTC))
        await self.check_quota(received)
        artifact = Artifact(digest=received.digest, size_bytes=received.size_bytes, name=received.filename)
        stored = await self.blobs.store(data, name=artifact.name, known=artifact)
        created, sequence = await self._created(event, once=key is not None)
        try:
            await self.blobs.reaffirm(stored, data)
        except BytesFreed:
            await self._withdrawn(document_id)
            raise
        await self.projection.wait_for(sequence)
        self.metrics.uploaded(received.size_bytes)
        return created

    async def adopt(self, document_id: str, received: commands.Received, *, session_id: str | None = None) -> Document:
        """Makes a document of bytes that are in the store already; a repeated id finds the document of the first time.

        Raises what ``create`` raises, ``UploadTooLarge``, ``BadUpload``, ``BlobMissing`` and ``LinkTargetNotFound``.
        """
        if received.size_bytes > self.max_bytes:
            raise UploadTooLarge(self.max_bytes)
        worked_for = None if session_id is None else things.parsed(f"{things.SESSION}:{session_id}")
        if worked_for is not None and not await self._is_there(worked_for):
            raise LinkTargetNotFound(things.written(worked_for))
        event = commands.create(document_id, received, now=datetime.now(UTC))
        artifact = Artifact(digest=received.digest, size_bytes=received.size_bytes, name=received.filename)
        stored = await self.blobs.hold(artifact)
        if stored.info.size != received.size_bytes:
            raise BadUpload(f"these bytes are {stored.info.size} long, not {received.size_bytes}")
        await self.check_quota(received)
        created, sequence = await self._created(event, once=True)
        await self._held_on(artifact, document_id)
        await self.projection.wait_for(sequence)
        if worked_for is not None:
            await self.link(document_id, "derived_from", things.written(worked_for))
        self.metrics.uploaded(received.size_bytes)
        return created

    async def _held_on(self, artifact: Artifact, document_id: str) -> None:
        """After the event, as in ``create``; but here nobody has the bytes who could put them once more."""
        try:
            await self.blobs.hold(artifact)
        except BlobMissing:  # somebody's delete freed them in between
            await self._withdrawn(document_id)
            raise

    async def _withdrawn(self, document_id: str) -> None:
        await self._decided(partial(commands.delete, document_id=document_id, now=datetime.now(UTC)), document_id)

    async def _created(self, event: DocumentCreated, *, once: bool) -> tuple[Document, int]:
        if once:
            decision = partial(commands.create_once, created=event)
            decided = await self._decided(decision, event.document_id)
            created, sequence = decided.state, decided.sequence
        else:
            event = self._log.published(event)  # so that whoever sent it is told what the log has
            created, sequence = evolve(None, event), await self._log.append(event)
        assert created is not None
        return created, sequence

    async def _decided(
        self, decision: Callable[[Document | None], Event | None], document_id: str
    ) -> Decided[Document | None]:
        row = await self.projection.read(partial(queries.row, document_id=document_id))
        if row is not None and not (await self._log.beginning()).hides(row.sequence - 1):
            row = None  # all of it is in the log, which knows better
        return await self._log.decide(
            TYPES, None if row is None else row.document, evolve, decision,
            deadline_s=_DEADLINE_S, known=0 if row is None else row.changed, document_id=document_id,
        )  # fmt: skip

    async def update(self, document_id: str, change: commands.Change, *, if_match: str | None = None) -> Found:
        """Changes what is given.

        Raises ``DocumentNotFound``, ``Changed``, ``BadTag``, ``BadMetadata``, ``BadExpiry``, ``LogUnavailable`` and ``Contended``.
        """
        return await self._changed(
            document_id,
            partial(commands.update, document_id=document_id, change=change, now=datetime.now(UTC), if_match=if_match),
        )

    async def link(self, document_id: str, kind: str, to: str) -> Found:
        """Relates the document to something that is there.

        Raises ``DocumentNotFound``, ``BadLink``, ``LinkTargetNotFound``, ``LogUnavailable`` and ``Contended``.
        """
        target = things.parsed(to)
        if not await self._is_there(target):
            raise LinkTargetNotFound(to)
        to = things.written(target)
        return await self._changed(
            document_id, partial(commands.link, document_id=document_id, kind=kind, to=to, now=datetime.now(UTC))
        )

    async def unlink(self, document_id: str, kind: str, to: str) -> Found:
        """Takes a relation back. Raises ``DocumentNotFound``, ``LinkNotFound``, ``LogUnavailable`` and ``Contended``."""
        return await self._changed(
            document_id, partial(commands.unlink, document_id=document_id, kind=kind, to=to, now=datetime.now(UTC))
        )

    async def _is_there(self, thing: Thing) -> bool:
        if thing.kind == DOCUMENT:
            return await self.projection.read(partial(queries.document, document_id=thing.name)) is not None
        if thing.kind == ARTIFACT:
            return await self.blobs.has(thing.name)
        history = things.history(thing)
        return history is not None and await self._log.last_sequence(history) > 0

    async def _changed(self, document_id: str, decision: Callable[[Document | None], Event | None]) -> Found:
        decided = await self._decided(decision, document_id)
        await self.projection.wait_for(decided.sequence)
        assert decided.state is not None
        return await self.related(decided.state)

    async def related(self, document: Document) -> Found:
        """``document`` with everything it is related to."""
        return await self.projection.read(partial(queries.related, one=document))

    async def relations_of(self, thing: Thing) -> Relations:
        """What is related to something that may be no document. Raises ``DocumentNotFound``."""
        if thing.kind == DOCUMENT:
            return (await self.found(thing.name)).relations
        return await self.projection.read(partial(relations.of_thing, thing=thing))

    async def documents_with(self, digest: str) -> list[str]:
        """The ids of the documents that have these bytes."""
        return await self.projection.read(partial(relations.documents_with, digest=digest))

    async def delete(self, document_id: str, *, if_match: str | None = None) -> None:
        """Lets the document go, and its bytes with it when they were only its.

        Raises ``DocumentNotFound``, ``Changed``, ``LogUnavailable`` and ``Contended``.
        """
        await self._deleted(
            document_id, partial(commands.delete, document_id=document_id, now=datetime.now(UTC), if_match=if_match)
        )

    async def expire(self, document_id: str, *, now: datetime) -> None:
        """Lets the document go if its time is over. Raises ``LogUnavailable`` and ``Contended``."""
        await self._deleted(document_id, partial(commands.expire, now=now))

    async def _deleted(self, document_id: str, decide: Callable[[Document | None], Event | None]) -> None:
        digests: list[str] = []

        def decision(document: Document | None) -> Event | None:
            event = decide(document)
            digests[:] = [] if document is None or event is None else [document.digest]
            return event

        decided = await self._decided(decision, document_id)
        await self.projection.wait_for(decided.sequence)
        for digest in digests:
            try:
                await self.freeing.free(digest)
            except (LogUnavailable, ProjectionBehind) as reason:  # the document is gone all the same
                log.warning("the bytes %s will be freed by the next sweep: %s", digest, reason)

    async def document(self, document_id: str) -> Document:
        """The document with this id. Raises ``DocumentNotFound``."""
        found = await self.projection.read(partial(queries.document, document_id=document_id))
        if found is None:
            raise DocumentNotFound(document_id)
        return found

    async def found(self, document_id: str) -> Found:
        """The document with this id, and its relations. Raises ``DocumentNotFound``."""
        return await self.related(await self.document(document_id))

    async def documents(self, wanted: queries.Wanted) -> queries.Page:
        """A page of what is wanted."""
        return await self.projection.read(partial(queries.documents, wanted=wanted))

    async def tag_counts(self) -> list[tuple[str, int]]:
        """Every tag, and how many documents have it."""
        return await self.projection.read(queries.tag_counts)
