"""The straight way of calls that come by the thousand: past the layers of the router, which cost more than taking an event does.

It is for the plain call: a POST with a small body whose length was said, and not from a page. Every other call takes the usual way through
Litestar, and so does one that its straight way does not want. Answers are the same either way. A handler names its straight way in its
``opt``, as ``opt={STRAIGHT: one_taken}``, and is otherwise routed, guarded and documented like any other.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar, cast

from litestar import Litestar, Request
from litestar.exceptions import ClientException, HTTPException
from litestar.types import HTTPScope, Receive, Scope, Send

from benchwire.web.errors import Handler
from benchwire.web.room import SMALL_BYTES
from benchwire.web.scopes import is_allowed

STRAIGHT = "straight"  # in the opt of a handler
_PLAIN_HOST = re.compile(rb"[0-9A-Za-z._:\[\]-]*")

Subject = TypeVar("Subject")
Headers: TypeAlias = Mapping[bytes, bytes]  # names in lower case
Params: TypeAlias = Mapping[str, Any]  # what the path names
# Takes what it works with, the body, headers and parameters. Returns the JSON of a 200; or None, before it has done anything, for the usual way.
# What it raises is answered as everywhere.
Way: TypeAlias = Callable[[Subject, bytes, Headers, Params], Awaitable[bytes | None]]


class Straight(Generic[Subject]):
    """An ASGI app around ``app``, inside of the guard; straight ways work with ``subject``.

    Not for an app that has a rate limit: calls are counted in a layer of the router.
    """

    def __init__(self, app: Litestar, subject: Subject) -> None:
        self._app = app
        self._subject = subject
        self._routed = app.asgi_router.handle_routing
        self._refused = cast("Handler", app.exception_handlers[Exception])
        limit = app.request_max_body_size
        self._most_bytes = min(SMALL_BYTES, limit) if isinstance(limit, int) else SMALL_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the call, or passes it on."""
        call = cast("HTTPScope", scope)
        if str(scope["type"]) == "http" and call["method"] == "POST":
            listed = list(call["headers"])
            headers = dict(listed)
            none_twice = len(headers) == len(listed)
            if none_twice and self._is_plain(call["path"], headers) and (way := self._way(call)) is not None:
                await self._gone(way, headers, call, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_plain(self, path: str, headers: Headers) -> bool:
        length = headers.get(b"content-length", b"")
        return (
            length.isdigit()
            and int(length) <= self._most_bytes
            and b"origin" not in headers
            and _PLAIN_HOST.fullmatch(headers.get(b"host", b"")) is not None
            and not path.endswith("/")
            and "//" not in path
        )

    def _way(self, scope: HTTPScope) -> "Way[Subject] | None":
        """That of the route, which the call has from then on; None when it has none, or the caller may not go it."""
        try:
            _, handler, _, params, template = self._routed(path=scope["path"], method="POST")
        except HTTPException:
            return None
        way: Way[Subject] | None = handler.opt.get(STRAIGHT)
        if way is None or not is_allowed(scope, handler):
            return None
        scope["path_params"], scope["path_template"] = params, template
        return way

    async def _gone(
        self, way: "Way[Subject]", headers: Headers, scope: HTTPScope, receive: Receive, send: Send
    ) -> None:
        try:
            body = await _whole(receive)
            told = await way(self._subject, body, headers, scope["path_params"])
        except Exception as error:  # noqa: BLE001 - the table of errors knows them all
            request = Request[Any, Any, Any](scope, receive, send)
            refusal = self._refused(request, error).to_asgi_response(app=None, request=request)
            await refusal(scope, receive, send)
            return
        if told is None:
            await self._app(scope, _again(body, receive), send)
            return
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(told))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": told, "more_body": False})


async def _whole(receive: Receive) -> bytes:
    """A body whose length was said and is small; the protocol sees to it that no more comes."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientException("the body broke off")
        parts.append(message["body"])
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive``, which has been asked for the ``body`` already."""
    before = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Any:
        return before.pop() if before else await receive()

    return received
