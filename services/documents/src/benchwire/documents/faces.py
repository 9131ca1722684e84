"""The socket of this service and its frames: for the AsyncAPI document."""

from benchwire.documents import live
from benchwire.events.asyncapi import Face
from benchwire.events.catalog import DOCUMENTS
from benchwire.web.faces import QUERY, Ping, Pong

FACES = (
    Face(
        service=DOCUMENTS, name="documents", address="/ws", protocol="ws", sends=(live.Created, live.Updated, live.Deleted, live.Resync, Pong),
        takes=(Ping,), what="What happens to documents, once it can be fetched.",
        query={**QUERY, "since": "the seq of the last frame that was seen: what was missed comes first"},
    ),
)  # fmt: skip
