"""What clients can read as a whole: documents, and what tasks made and said."""

import msgspec
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError

from benchwire.client import Documents
from benchwire.mcp.reach import Ctx, Reached, as_resource, of_documents, of_lab
from benchwire.mcp.shapes import cut

MOST_BYTES = 4 << 20

_DOCUMENT = "benchwire://documents/{document_id}"
_RESULTS = "benchwire://tasks/{task_id}/results"
_LOG = "benchwire://tasks/{task_id}/log"


def offer(server: MCPServer[Reached]) -> None:
    """Adds them to ``server``."""
    server.resource(_DOCUMENT, name="document", description="The bytes of a document of the lab, or its text.")(
        document
    )
    server.resource(
        _RESULTS, name="task_results", mime_type="application/json", description="What a task made, with every iteration."
    )(task_results)  # fmt: skip
    server.resource(_LOG, name="task_log", description="What a task logged until now, line by line.")(task_log)


async def document(document_id: str, ctx: Ctx) -> str | bytes:
    """A document; text where it is one. Raises ``ResourceError``."""
    return await as_resource(of_documents(ctx, lambda store: _whole(store, document_id)))


async def task_results(task_id: str, ctx: Ctx) -> str:
    """JSON. Raises ``ResourceError``."""
    found = await as_resource(of_lab(ctx, lambda lab: lab.tasks.results(task_id)))
    return msgspec.json.format(msgspec.json.encode(found)).decode()


async def task_log(task_id: str, ctx: Ctx) -> str:
    """Lines with their times, the last of them when there are too many. Raises ``ResourceError``."""
    found = await as_resource(of_lab(ctx, lambda lab: lab.tasks.log(task_id)))
    return cut("".join(f"{one.timestamp} {one.line}\n" for one in found), MOST_BYTES)


def _whole(store: Documents, document_id: str) -> str | bytes:
    known, _ = store.one(document_id)
    if known["size_bytes"] > MOST_BYTES:
        raise ResourceError(
            f"{known['filename']} has {known['size_bytes']} bytes, and {MOST_BYTES} are given at once at most; read_document gives parts"
        )
    content = b"".join(store.pieces(known))
    if not known["content_type"].startswith("text/") or b"\0" in content:
        return content
    return content.decode(errors="replace")
