"""The lab's events and sockets as an AsyncAPI document, which `make docs` writes."""

import asyncio
from functools import cache
from pathlib import Path

from litestar import Response, get

from benchwire.web.described import described

FILE = Path(__file__).parents[1] / "asyncapi.json"


@get("/asyncapi.json", opt=described(answers={"type": "object"}))
async def asyncapi() -> Response[bytes]:
    """Every subject and every socket, with the shapes of what travels on it."""
    return Response(await asyncio.to_thread(_read), media_type="application/json")


@cache
def _read() -> bytes:
    return FILE.read_bytes()


ROUTES = [asyncapi]
