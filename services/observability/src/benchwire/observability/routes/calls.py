"""What a call is beyond its parameters: whether it is one that was made before, and whether its client is still there."""

import asyncio
import contextlib
import hashlib
import uuid
from collections.abc import AsyncGenerator

from benchwire.observability.routes.params import AnyRequest


def made_id(prefix: str, request: AnyRequest) -> str:
    """A new id; the same one again for a call that is repeated with its ``Idempotency-Key``."""
    key = request.headers.get("idempotency-key")
    tail = uuid.uuid4().hex if key is None else hashlib.sha256(key.encode(errors="replace")).hexdigest()
    return f"{prefix}{tail[:16]}"


def socket_of(request: AnyRequest, task_id: str) -> str:
    """Where the frames of a task are, as its client reaches this service."""
    scheme = "wss" if request.url.scheme == "https" else "ws"
    return f"{scheme}://{request.url.netloc}/ws/{task_id}"


@contextlib.asynccontextmanager
async def leaving(request: AnyRequest) -> AsyncGenerator[asyncio.Event, None]:
    """An event that is set when the client of ``request``, whose body was read, has gone."""
    left = asyncio.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left.set()

    watching = asyncio.create_task(watch())
    try:
        yield left
    finally:
        watching.cancel()
        await asyncio.wait([watching])
