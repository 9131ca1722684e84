"""Documents asked for over the bus, as an agent runner asks."""

from pathlib import Path
from typing import Any

import httpx

from benchwire.documents.testing import serving
from benchwire.events import nats_server
from benchwire.events.asks import (
    DocumentPushed,
    DocumentsFound,
    DocumentTold,
    GetDocument,
    PushDocument,
    Refused,
    SearchDocuments,
)
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.event import Artifact
from benchwire.events.log import Log
from benchwire.events.session import SessionStarted
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT


async def pushed(bus: Bus, document_id: str, artifact: Artifact, **more: Any) -> DocumentPushed | Refused:
    asked = PushDocument(document_id=document_id, name=artifact.name, artifact=artifact, **more)
    return await bus.ask("ask.documents.push", asked, DocumentPushed, timeout_s=20)


async def found(bus: Bus, **wanted: Any) -> list[str]:
    told = await bus.ask("ask.documents.search", SearchDocuments(**wanted), DocumentsFound, timeout_s=20)
    assert isinstance(told, DocumentsFound)
    return [one.document_id for one in told.documents]


async def test_a_document_is_pushed_once_found_by_its_words_and_told_with_its_bytes(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    await log.append(SessionStarted(timestamp=AT, session_id="s-1"))
    artifact = await Blobs(bus).put(b"the heron blinks\n", name="notes.md")
    async with serving(nats.url, tmp_path / "data") as service:
        for _ in range(2):
            answer = await pushed(bus, "doc_1", artifact, tags=["birds"], session_id="s-1")
            assert answer == DocumentPushed(document_id="doc_1")
        assert await found(bus) == await found(bus, tags=["birds"]) == ["doc_1"]
        assert await found(bus, tags=["fish"]) == []

        async def indexed() -> bool:
            return await found(bus, query="heron") == ["doc_1"]

        await eventually(indexed, within_s=20, what="the words to be found")
        told = await bus.ask("ask.documents.get", GetDocument(document_id="doc_1"), DocumentTold, timeout_s=20)
        assert isinstance(told, DocumentTold)
        assert (told.document.name, told.document.content_type, told.artifact) == (
            "notes.md",
            "text/markdown",
            artifact,
        )
        async with httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as http:
            assert (await http.get("/documents/doc_1")).content == b"the heron blinks\n"
            (link,) = (await http.get("/documents/doc_1/metadata")).json()["links"]
            assert (link["kind"], link["to"]) == ("derived_from", "session:s-1")


async def test_a_push_that_cannot_be_is_refused_with_the_sentence_of_the_route(
    nats: nats_server.Server, tmp_path: Path, bus: Bus
) -> None:
    there = await Blobs(bus).put(b"abc", name="a.txt")
    other = await Blobs(bus).put(b"abcd", name="a.txt")
    gone = Artifact(digest="0" * 64, size_bytes=3, name="a.txt")
    longer = Artifact(digest=there.digest, size_bytes=4, name="a.txt")
    async with serving(nats.url, tmp_path / "data", documents_max_bytes="4", documents_total="1"):
        wanted = {
            "blob_missing": await pushed(bus, "doc_2", gone),
            "bad_upload": await pushed(bus, "doc_2", longer),
            "bad_tag": await pushed(bus, "doc_2", there, tags=["no tag"]),
            "illegal_token": await pushed(bus, "doc.2", there),
            "link_target_not_found": await pushed(bus, "doc_2", there, session_id="nobody"),
            "upload_too_large": await pushed(bus, "doc_2", await Blobs(bus).put(b"abcde", name="b")),
        }
        assert isinstance(await pushed(bus, "doc_1", there), DocumentPushed)
        wanted["quota_exceeded"] = await pushed(bus, "doc_2", other)
        assert {code: getattr(answer, "code", "") for code, answer in wanted.items()} == {code: code for code in wanted}
        absent = await bus.ask("ask.documents.get", GetDocument(document_id="doc_2"), DocumentTold, timeout_s=20)
        assert absent == Refused(code="document_not_found", detail="there is no document 'doc_2'")
    async with serving(nats.url, tmp_path / "data"):
        taken = await pushed(bus, "doc_1", other)
        assert isinstance(taken, Refused)
        assert taken.code == "id_taken"
