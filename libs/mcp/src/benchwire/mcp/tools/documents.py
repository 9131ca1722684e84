"""The document store: what the lab knows in words and files."""

import base64
import binascii
import io
import json
from typing import Annotated, Any

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from benchwire.mcp.reach import Ctx, of_documents
from benchwire.mcp.shapes import DocumentList, DocumentShape, DocumentText
from benchwire.mcp.tools.kinds import adds, reads

_MOST_CHARS = 32_768
_HIGHLIGHTS = str.maketrans("", "", "\x02\x03")  # the store marks with these what was found

Tags = Annotated[list[str], Field(description="letters, digits and hyphens")]


async def push_document(
    ctx: Ctx,
    *,
    name: Annotated[str, Field(description="a file name, such as report.md", min_length=1, max_length=255)],
    text: str | None = None,
    content_base64: Annotated[str | None, Field(description="bytes that are no text")] = None,
    tags: Tags = [],  # noqa: B006 - pydantic copies it
    description: str | None = None,
) -> DocumentShape:
    """Puts a text, or bytes, into the lab's document store, where people and other agents find it."""
    data = _bytes(text, content_base64)
    metadata = {} if description is None else {"description": description}
    fields = {"tags": ",".join(tags), "metadata": json.dumps(metadata)}
    return _shape(await of_documents(ctx, lambda store: store.push(io.BytesIO(data), name, fields)))


async def search_documents(
    ctx: Ctx,
    *,
    query: Annotated[str, Field(description='words; "several words", begin* and -without are understood')] = "",
    tags: Tags = [],  # noqa: B006
    name: Annotated[str, Field(description="a piece of the file name")] = "",
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
) -> DocumentList:
    """Documents that hold all of the words, the best first; without words the newest. Those with all of the tags."""
    asked = {"q": query, "tags": ",".join(tags), "filename": name, "limit": str(limit)}
    wanted = {key: value for key, value in asked.items() if value}
    found, total = await of_documents(ctx, lambda store: store.found(wanted))
    return DocumentList(documents=[_shape(one) for one in found], total=total)


async def read_document(
    ctx: Ctx,
    document_id: str,
    offset: Annotated[int, Field(ge=0, description="the first character")] = 0,
    max_chars: Annotated[int, Field(ge=1, le=_MOST_CHARS)] = 8000,
) -> DocumentText:
    """A part of a text document. Bytes that are no text are in the resource benchwire://documents/{document_id}."""
    text, total = await of_documents(ctx, lambda store: store.part(document_id, offset, max_chars))
    end = offset + len(text)
    return DocumentText(
        document_id=document_id, text=text, total_chars=total, next_offset=end if text and end < total else None
    )


def _bytes(text: str | None, in_base64: str | None) -> bytes:
    if (text is None) == (in_base64 is None):
        raise ToolError("say what to push: text or content_base64")
    if text is not None:
        return text.encode(errors="replace")
    try:
        return base64.b64decode(in_base64 or "", validate=True)
    except (binascii.Error, ValueError):
        raise ToolError("content_base64: it is not base64") from None


def _shape(told: dict[str, Any]) -> DocumentShape:
    snippet = told.get("snippet")
    return DocumentShape.model_validate({**told, "snippet": snippet.translate(_HIGHLIGHTS) if snippet else None})


TOOLS = [adds(push_document), reads(search_documents), reads(read_document)]
