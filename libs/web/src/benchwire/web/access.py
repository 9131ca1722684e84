"""The guard around a whole app, so that no route can be forgotten: on loopback everybody on this machine may call, elsewhere whoever has a token.

HTTP wants ``Authorization: Bearer …`` (401 otherwise), a WebSocket takes ``?token=`` too, and is closed with 1008 when it is wrong. What a
token allows is asked once the route is known: ``scopes``. Open to all are the paths that the guard is told: those that watch over
processes, and files without data.

While no token is configured, a page of some website must not reach the lab through a person's browser: calls that name a foreign
``Origin`` or ``Host`` are refused. A proxy on this machine that passes on the name by which it was called has that name in ``served_as``.
"""

import asyncio
import ipaddress
from collections.abc import Collection
from functools import lru_cache
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from litestar.config.cors import CORSConfig
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send, WebSocketScope

from benchwire.events.settings import InvalidSettings
from benchwire.web.callers import Caller, Callers
from benchwire.web.cors import cors
from benchwire.web.errors import Problem
from benchwire.web.guesses import WINDOW_S, Guesses
from benchwire.web.head import answer_head
from benchwire.web.headers import guarding
from benchwire.web.peers import peer_of
from benchwire.web.scopes import CALLER
from benchwire.web.sockets import POLICY_VIOLATION, TRY_AGAIN_LATER, refused

# Who watches over processes has no token; the explorer of the API is a page without data, and asks for one.
OPEN_PATHS = frozenset({"/health", "/schema", "/schema/ui/"})
_NEEDS_TOKEN = "a token is needed: send the header 'Authorization: Bearer <token>'"  # noqa: S105 - a sentence
_WRONG_TOKEN = "this token is not known here, or it has expired or was revoked"  # noqa: S105
_FOREIGN = "calls from other places than this machine need a token, and none is configured here; make one with `benchwire token create`"
_TOO_MANY_WRONG = "too many wrong tokens came from this address; try again in a minute"
_GONE = "the token has expired or was revoked"


def checked(host: str, callers: Callers) -> Callers:
    """``callers``, when binding to ``host`` is safe with them. Raises ``InvalidSettings`` when it is neither loopback nor guarded."""
    if not callers.needs_token and not is_loopback(host):
        raise InvalidSettings(
            f"no token is configured, so that only loopback can be served, and {host} is not; make one with `benchwire token create`, "
            "set BENCHWIRE_TOKEN, or serve 127.0.0.1"
        )
    return callers


@lru_cache(256)  # asked with each call, mostly about the same
def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "localhost.localdomain", "ip6-localhost")


class Guard:
    """An ASGI app around ``app`` that lets pass who may. ``open_paths`` are for everybody; one that ends in ``/`` means what is under it.

    ``served_as`` are names of this machine that count as loopback where no token is needed. See ``guesses`` for ``wrong_tokens_per_minute``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        callers: Callers,
        pages: CORSConfig | None = None,
        open_paths: Collection[str] = OPEN_PATHS,
        served_as: Collection[str] = (),
        wrong_tokens_per_minute: int = 0,
    ) -> None:
        self._app = app
        self._callers = callers
        self._served_as = frozenset(name.strip().lower() for name in served_as)
        self._guesses = Guesses(wrong_tokens_per_minute)
        self._pages = pages or cors()
        self._open = frozenset(open_paths)
        self._open_below = tuple(one for one in open_paths if one.endswith("/") and one != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the call on, or answers it."""
        match str(scope["type"]):
            case "http":
                await self._http(cast("HTTPScope", scope), receive, guarding(send))
            case "websocket":
                await self._websocket(cast("WebSocketScope", scope), receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _http(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        # A browser asks before it calls, and cannot send the token yet; CORS answers that, no route does.
        asks = method == "OPTIONS" and self._callers.needs_token and _header(scope, b"access-control-request-method")
        if not asks and not self._is_open(scope["path"]):
            caller = self._caller(scope, _bearer(scope))
            if isinstance(caller, Problem):
                await _answer(send, caller, self._headers_for_page(scope))
                return
            _put(scope, caller)
            if method == "GET":  # it may be a stream without end
                answer = _Endable(caller, receive, send)
                await self._app(scope, answer.receive, answer.send)
                await answer.ended()
                return
        if method == "HEAD":
            await answer_head(self._app, scope, send)
        else:
            await self._app(scope, receive, send)

    async def _websocket(self, scope: WebSocketScope, receive: Receive, send: Send) -> None:
        given, scope = _with_token_taken_out(scope)
        caller = self._caller(scope, _bearer(scope) or given)
        if isinstance(caller, Problem):
            code = TRY_AGAIN_LATER if caller.status_code == 429 else POLICY_VIOLATION
            await refused(receive, send, code=code, reason=caller.detail)
            return
        _put(scope, caller)
        open_ = _Closable(caller, receive, send)
        await self._app(scope, open_.receive, open_.send)

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(self._open_below)

    def _caller(self, scope: HTTPScope | WebSocketScope, given: str) -> Caller | Problem:
        if not self._callers.needs_token:
            return self._callers.anybody if self._is_from_here(scope) else Problem(_FOREIGN, 403)
        if not given:
            return Problem(_NEEDS_TOKEN, 401)
        client = scope.get("client")
        peer = peer_of(client[0]) if client else ""
        caller = self._callers.find(given)
        if self._guesses.are_too_many(peer, caller):
            return Problem(_TOO_MANY_WRONG, 429)
        return caller or Problem(_WRONG_TOKEN, 401)

    def _is_from_here(self, scope: Scope) -> bool:
        origin = _header(scope, b"origin")
        if origin and not (self._pages.is_origin_allowed(origin) or self._is_here(_hostname(origin))):
            return False
        host = _header(scope, b"host")
        return not host or self._is_here(_hostname(f"//{host}"))

    def _is_here(self, name: str) -> bool:
        return is_loopback(name) or name in self._served_as

    def _headers_for_page(self, scope: HTTPScope) -> list[tuple[bytes, bytes]]:
        """With what a page of an allowed origin may read why it was refused."""
        origin = _header(scope, b"origin")
        if not origin or not self._pages.is_origin_allowed(origin):
            return []
        told = {"Vary": "Origin", **self._pages.simple_headers}
        told.setdefault("Access-Control-Allow-Origin", origin)
        return [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]


class _Closable:
    """A WebSocket that is closed when its token is no longer good."""

    def __init__(self, caller: Caller, receive: Receive, send: Send) -> None:
        self._caller = caller
        self._receive = receive
        self._send = send
        self._is_closed = False

    async def receive(self) -> Any:
        message = await _or_gone(self._caller, self._receive)
        if message is not None:
            return message
        if not self._is_closed:
            self._is_closed = True
            await self._send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": _GONE})
        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}

    async def send(self, message: Message) -> None:
        if not self._is_closed:
            await self._send(message)


class _Endable:
    """An answer that is told that its reader has gone when the token has, and is brought to an end if it can be."""

    def __init__(self, caller: Caller, receive: Receive, send: Send) -> None:
        self._caller = caller
        self._receive = receive
        self._send = send
        self._is_under_way = False
        self._has_length = False

    async def receive(self) -> Any:
        return await _or_gone(self._caller, self._receive) or {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_under_way = True
            self._has_length = any(name == b"content-length" for name, _ in message["headers"])
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self._is_under_way = False
        await self._send(message)

    async def ended(self) -> None:
        """One whose length was said stays cut off, so that nobody takes it for the whole."""
        if self._is_under_way and not self._has_length and self._caller.gone.is_set():
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def _or_gone(caller: Caller, receive: Receive) -> Any | None:
    """What is received; None when the token is no longer good."""
    receiving = asyncio.ensure_future(receive())
    going = asyncio.ensure_future(caller.gone.wait())
    try:
        await asyncio.wait((receiving, going), return_when=asyncio.FIRST_COMPLETED)
        return receiving.result() if receiving.done() and not going.done() else None
    finally:
        receiving.cancel()
        going.cancel()


def _put(scope: HTTPScope | WebSocketScope, caller: Caller) -> None:
    cast("dict[str, Any]", scope).setdefault("state", {})[CALLER] = caller


@lru_cache(256)
def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key.lower() == name:
            return value.decode("latin-1")
    return ""


def _bearer(scope: Scope) -> str:
    scheme, _, token = _header(scope, b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _with_token_taken_out(scope: WebSocketScope) -> tuple[str, WebSocketScope]:
    """The token in the URL, and the rest of the call: nothing behind the guard sees it, so that nothing can write it down."""
    query = scope["query_string"]
    if b"token=" not in query:
        return "", scope
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    rest = urlencode([(name, value) for name, value in pairs if name != "token"], encoding="latin-1")
    given = next((value for name, value in pairs if name == "token"), "")
    return given, cast("WebSocketScope", {**scope, "query_string": rest.encode("latin-1")})


async def _answer(send: Send, problem: Problem, headers: list[tuple[bytes, bytes]]) -> None:
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    if problem.status_code == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    elif problem.status_code == 429:
        headers.append((b"retry-after", str(WINDOW_S).encode()))
    await send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
