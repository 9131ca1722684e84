"""The document store: what the lab knows in words and files."""

import asyncio
import codecs
from contextlib import aclosing
from typing import Annotated

import msgspec
from msgspec import Meta

from benchwire.agent.errors import ToolFailed
from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.toolbox.firmware import BuildId, Firmware
from benchwire.agent.toolbox.inputs import Input, tool
from benchwire.agent.toolbox.place import Place
from benchwire.agent.tools import files
from benchwire.events import asks
from benchwire.events.blobs import BlobMissing, DigestMismatch
from benchwire.events.bus import Bus
from benchwire.events.event import Artifact

ASK_S = 20.0
READ_S = 60.0  # a place deep in a large document takes reading all that stands before it
MAX_PUSH_BYTES = 64 << 20
MAX_READ_CHARS = 32 * 1024
_LOOK_BYTES = 8192


class PushDocument(Input, frozen=True, kw_only=True):
    """Puts a file of the session's directory, a text, or the image of a build into the lab's document store, where people and other
    agents find it. Gives its document id.
    """

    name: Annotated[str, Meta(description="a file name, such as report.md", min_length=1, max_length=255)]
    path: Annotated[str | None, Meta(description="the file of the session's directory")] = None
    text: str | None = None
    build: BuildId | None = None
    tags: Annotated[list[str], Meta(max_length=64, description="letters, digits and hyphens")] = []


class SearchDocuments(Input, frozen=True, kw_only=True):
    """Searches the lab's documents by words in their text, name or description, and by tags (all of them). Without words: the newest."""

    query: Annotated[str, Meta(max_length=2000)] = ""
    tags: Annotated[list[str], Meta(max_length=64)] = []
    limit: Annotated[int, Meta(ge=1, le=50)] = 10


class ReadDocument(Input, frozen=True, kw_only=True):
    """Shows a part of a text document of the lab, from offset on (in characters)."""

    document_id: Annotated[str, Meta(max_length=128)]
    offset: Annotated[int, Meta(ge=0)] = 0
    max_chars: Annotated[int, Meta(ge=1, le=MAX_READ_CHARS)] = 8000


class Documents:
    """The document store as one session uses it."""

    def __init__(self, place: Place, firmware: Firmware) -> None:
        self._place = place
        self._firmware = firmware

    async def push(self, asked: PushDocument, use_id: str) -> str:
        """The tool push_document."""
        artifact = await self._stored(asked)
        request = asks.PushDocument(
            document_id=self._place.named_after(use_id, "doc"), name=asked.name, artifact=artifact, tags=asked.tags,
            session_id=self._place.session_id,
        )  # fmt: skip
        answer = await self._place.lab.bus.ask("ask.documents.push", request, asks.DocumentPushed, timeout_s=ASK_S)
        if isinstance(answer, asks.Refused):
            raise ToolFailed(answer.detail)
        told = {"document_id": answer.document_id, "size_bytes": artifact.size_bytes, "digest": artifact.digest}
        return msgspec.json.encode(told).decode()

    async def search(self, asked: SearchDocuments, _: str) -> str:
        """The tool search_documents."""
        request = asks.SearchDocuments(query=asked.query, tags=asked.tags, limit=asked.limit)
        answer = await self._place.lab.bus.ask("ask.documents.search", request, asks.DocumentsFound, timeout_s=ASK_S)
        if isinstance(answer, asks.Refused):
            raise ToolFailed(answer.detail)
        return msgspec.json.encode(answer.documents).decode() if answer.documents else "no document is like that"

    async def read(self, asked: ReadDocument, _: str) -> str:
        """The tool read_document."""
        told = await told_of(self._place.lab.bus, asked.document_id)
        one = told.document
        try:
            async with asyncio.timeout(READ_S):
                part = await self._part(told, asked.offset, asked.max_chars)
        except TimeoutError:
            raise ToolFailed(f"{one.name} could not be read up to there within {READ_S:g} s") from None
        except (BlobMissing, DigestMismatch) as error:
            raise ToolFailed(str(error)) from error
        if part is None:
            return f"{one.name} is binary ({one.content_type}, {one.size_bytes} bytes) and cannot be shown as text"
        text, more = part
        if not text and asked.offset:
            return f"[{one.name} ends before character {asked.offset}]"
        end = f"[it goes on: offset {asked.offset + len(text)} is next]" if more else "[that is its end]"
        return f"{text}\n{end}"

    async def _stored(self, asked: PushDocument) -> Artifact:
        match asked:
            case PushDocument(path=str(path), text=None, build=None):
                data = await asyncio.to_thread(files.whole, self._place.workdir, path, max_bytes=MAX_PUSH_BYTES)
            case PushDocument(path=None, text=str(text), build=None):
                data = text.encode(errors="replace")
            case PushDocument(path=None, text=None, build=str(build)):
                return (await self._firmware.sheet(build)).image
            case _:
                raise ToolFailed("say what to push: one of path, text and build")
        return await self._place.lab.blobs.put(data, name=asked.name)

    async def _part(self, told: asks.DocumentTold, offset: int, max_chars: int) -> tuple[str, bool] | None:
        """So many characters from there on, and whether more follow; None when it is no text."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        passed, text, head = 0, "", b""
        async with aclosing(self._place.lab.blobs.span(told.artifact.digest)) as pieces:
            async for piece in pieces:
                if len(head) < _LOOK_BYTES:
                    head += piece[: _LOOK_BYTES - len(head)]
                    if b"\0" in head:
                        return None
                decoded = decoder.decode(piece)
                text += decoded[max(0, offset - passed) :]
                passed += len(decoded)
                if len(text) > max_chars:
                    break
        return text[:max_chars], len(text) > max_chars


async def told_of(bus: Bus, document_id: str) -> asks.DocumentTold:
    """What is known of a document. Raises ``ToolFailed``."""
    answer = await bus.ask(
        "ask.documents.get", asks.GetDocument(document_id=document_id), asks.DocumentTold, timeout_s=ASK_S
    )
    if isinstance(answer, asks.Refused):
        raise ToolFailed(answer.detail)
    return answer


def tools(calls: Calls, documents: Documents) -> list[Tool]:
    """Those of the document store. A push that is made again finds the document of the first time."""
    return [
        tool(calls, "push_document", PushDocument, documents.push, repeatable=True),
        tool(calls, "search_documents", SearchDocuments, documents.search, repeatable=True),
        tool(calls, "read_document", ReadDocument, documents.read, repeatable=True),
    ]
