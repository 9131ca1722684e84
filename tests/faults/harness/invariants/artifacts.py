"""The artifact store has the bytes that somebody needs, and no others."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.catalog import subject_of
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.log import Recorded
from benchwire.events.objects import Objects
from benchwire.events.testing.eventually import eventually

from .finding import Finding

_DIGEST_CHARS = 64


async def bytes_needed_and_no_more(bus: Bus, facts: Sequence[Recorded], *, within_s: float = 60.0) -> Finding:
    """The artifact store has what somebody needs, each with the digest it says, and nothing else.

    What nobody needs is freed after the document store's grace period, so it is waited for.
    """
    needed, left = _needed(facts), set[str]()

    async def only_needed() -> bool:
        nonlocal left
        left = await _kept_in_store(bus) - needed
        return not left and not await _unnamed_puts(bus)

    wrong = []
    try:
        await eventually(only_needed, within_s=within_s)
    except AssertionError:
        wrong = [f"bytes {one} are kept, and nobody needs them" for one in left]
        wrong += [f"the chunks of put {one} are kept, and no record names them" for one in await _unnamed_puts(bus)]
    blobs = Blobs(bus)
    for digest in needed:
        try:
            await blobs.get(digest)  # compares them with their digest
        except (LookupError, ValueError) as error:
            wrong.append(f"bytes {digest} are needed: {error}")
    return Finding(
        invariant="bytes that are needed are there, and no others", figures={"needed": len(needed)}, wrong=wrong
    )


def _needed(facts: Sequence[Recorded]) -> set[str]:
    """The digests that documents which are there have, and all that any other event has named."""
    held_by_documents: dict[str, str] = {}
    named: set[str] = set()
    for one in facts:
        match one.event:
            case DocumentCreated(document_id=name, digest=digest):
                held_by_documents[name] = digest
            case DocumentDeleted(document_id=name):
                held_by_documents.pop(name, None)
            case event if subject_of(event).startswith(("bench.task.", "bench.flash.")):
                named |= set(_digests(msgspec.to_builtins(event)))
    return named | set(held_by_documents.values())


def _digests(value: Any) -> Iterable[str]:
    """Every artifact's digest in an event."""
    if isinstance(value, dict):
        if isinstance(value.get("digest"), str) and len(value["digest"]) == _DIGEST_CHARS:
            yield value["digest"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _digests(one)


async def _kept_in_store(bus: Bus) -> set[str]:
    return {one.digest async for batch in Blobs(bus).named() for one in batch if not one.freed}


async def _unnamed_puts(bus: Bus) -> set[str]:
    objects = Objects(bus)
    unnamed = await objects.puts()
    async for batch in objects.records():
        unnamed -= {info.nuid for _, info in batch if not info.deleted}
    return unnamed
