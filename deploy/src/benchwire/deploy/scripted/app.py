"""The HTTP face of the scripted model."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.response import Stream

from benchwire.deploy.scripted import wire
from benchwire.deploy.scripted.cassette import Spoken
from benchwire.deploy.scripted.script import Script

MODEL = "scripted-model"

_KINDS = {404: "not_found_error", 405: "invalid_request_error", 413: "request_too_large"}


def app_of(script: Script) -> Litestar:
    """The application that plays ``script``."""

    @post("/v1/messages", status_code=200)
    async def messages(request: Request[Any, Any, Any]) -> Response[Any]:
        asked = wire.parse(await request.body())
        turn = script.choose(asked)
        await asyncio.sleep(turn.delay_s)
        if turn.error is not None:
            return Response(wire.error(turn.error.type, turn.error.message), status_code=turn.error.status)
        if asked.stream:
            return Stream(_streamed(asked, turn), media_type="text/event-stream", headers={"cache-control": "no-cache"})
        return Response(wire.message(asked, turn.answer))

    @get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"data": [wire.model(MODEL)], "has_more": False, "first_id": MODEL, "last_id": MODEL}

    return Litestar(
        [messages, models],
        exception_handlers={wire.BadRequest: _bad_request, HTTPException: _refused},
        openapi_config=None,
    )


async def _streamed(request: wire.Request, turn: Spoken) -> AsyncIterator[bytes]:
    for event in wire.events(request, turn.answer):
        yield event
        if b"event: content_block_delta" in event:
            await asyncio.sleep(turn.pause_s)


def _bad_request(_: Request[Any, Any, Any], error: wire.BadRequest) -> Response[Any]:
    return Response(wire.error("invalid_request_error", str(error)), status_code=400)


def _refused(_: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    kind = _KINDS.get(error.status_code, "api_error" if error.status_code >= 500 else "invalid_request_error")
    return Response(wire.error(kind, error.detail), status_code=error.status_code)
