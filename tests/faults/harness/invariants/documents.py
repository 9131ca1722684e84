"""Documents are there with all their bytes, as they were acknowledged last, or not at all."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec

from .finding import Finding


class Kept(msgspec.Struct, kw_only=True):
    """A document as its client was told that it is: ``digest`` of its bytes, and the newest ``revision`` that was acknowledged."""

    digest: str
    revision: int = 0
    deleted: bool = False


async def documents_whole(http: httpx.AsyncClient, kept: Mapping[str, Kept]) -> Finding:
    """What is listed has all its bytes; what was acknowledged is listed as it was last, and what was deleted is gone."""
    listed = {one["id"]: one async for one in _documents(http)}
    wrong = []
    for name, one in listed.items():
        body = await http.get(f"/documents/{name}")
        digest = hashlib.sha256(body.content).hexdigest()
        if body.status_code != httpx.codes.OK or digest != one["checksum"] or len(body.content) != one["size_bytes"]:
            wrong.append(
                f"{name} is listed, and its bytes are {len(body.content)} of {one['size_bytes']} ({body.status_code})"
            )
    for name, known in kept.items():
        wrong += _of_one(name, known, listed.get(name))
    return Finding(
        invariant="no document is half-visible",
        figures={
            "listed": len(listed),
            "acknowledged": len(kept),
            "deleted": sum(one.deleted for one in kept.values()),
        },
        wrong=wrong,
    )


def _of_one(name: str, kept: Kept, listed: Mapping[str, Any] | None) -> list[str]:
    if kept.deleted:
        return [f"{name} was deleted, and is listed"] if listed is not None else []
    if listed is None:
        return [f"{name} was acknowledged, and is not listed"]
    told = []
    if listed["checksum"] != kept.digest:
        told.append(f"{name} has other bytes than those that were acknowledged")
    if int(listed["metadata"].get("revision", "0")) < kept.revision:
        told.append(f"{name} is shown with {listed['metadata']}, and revision {kept.revision} was acknowledged")
    return told


async def _documents(http: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    cursor = ""
    while True:
        answer = (await http.get("/documents", params={"limit": 1000, "cursor": cursor})).raise_for_status()
        for one in answer.json():
            yield one
        cursor = answer.headers.get("x-next-cursor", "")
        if not cursor:
            return
