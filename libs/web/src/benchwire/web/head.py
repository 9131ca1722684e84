"""HEAD, wherever there is a GET: the same answer without its body, in one place for all routes."""

import asyncio
from typing import cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Send


async def answer_head(app: ASGIApp, scope: HTTPScope, send: Send) -> None:
    """Lets ``app`` answer as if it were a GET, and sends the head of that. A stream is told that its reader has gone, and ends."""
    told = asyncio.Event()
    asked = False
    as_get = cast("HTTPScope", {**scope, "method": "GET"})

    async def heard() -> Message:
        nonlocal asked
        if asked:
            await told.wait()
            return cast("Message", {"type": "http.disconnect"})
        asked = True
        return cast("Message", {"type": "http.request", "body": b"", "more_body": False})

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            if template := as_get.get("path_template"):  # for whoever counts calls by their route
                scope["path_template"] = template
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            told.set()

    await app(as_get, cast("Receive", heard), sent)
