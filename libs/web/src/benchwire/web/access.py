"""Who may call: on loopback everybody on this machine, elsewhere whoever has the token.

A guard around the whole app, so that no route can be forgotten: HTTP wants ``Authorization: Bearer …`` (401 otherwise), a WebSocket takes
``?token=`` too, and is closed with 1008 when it is wrong. ``/health`` stays open for those who watch over processes.

Without a token a page of some website must not reach the lab through a person's browser: calls that name a foreign ``Origin`` or ``Host``
are refused.
"""

import hmac
import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import cast
from urllib.parse import parse_qs, urlsplit

import msgspec
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send, WebSocketScope

from benchwire.events.settings import InvalidSettings, Secret
from benchwire.web.cors import DEFAULT_ORIGINS
from benchwire.web.errors import Problem

POLICY_VIOLATION = 1008
_OPEN = frozenset({"/health"})
_NEEDS_TOKEN = "a token is needed: send the header 'Authorization: Bearer <token>'"  # noqa: S105 - a sentence
_FOREIGN = "calls from other places than this machine need a token; none is configured here"


def checked(host: str, token: Secret | None) -> Secret | None:
    """``token``, when binding to ``host`` is safe with it. Raises ``InvalidSettings`` when it is neither loopback nor guarded."""
    if not token and not is_loopback(host):
        raise InvalidSettings(
            f"BENCHWIRE_TOKEN is not set, so that only loopback can be served, and {host} is not; set a token, or serve 127.0.0.1"
        )
    return token or None


@lru_cache(256)  # asked with each call, mostly about the same
def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "localhost.localdomain", "ip6-localhost")


class Guard:
    """An ASGI app around ``app`` that lets pass who may."""

    def __init__(self, app: ASGIApp, *, token: str | None, origins: Sequence[str] = DEFAULT_ORIGINS) -> None:
        self._app = app
        self._token = token.encode() if token else None
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the call on, or answers it."""
        match str(scope["type"]):
            case "http":
                refused = self._refused_http(cast("HTTPScope", scope))
                if refused is not None:
                    await _answer(send, refused, self._allowed_origin(scope))
                    return
            case "websocket" if not self._may_open(cast("WebSocketScope", scope)):
                await _close(receive, send)
                return
        await self._app(scope, receive, send)

    def _refused_http(self, scope: HTTPScope) -> Problem | None:
        if scope["path"] in _OPEN:
            return None
        if self._token is None:
            return None if self._is_from_here(scope) else Problem(_FOREIGN, 403)
        # A browser asks before it calls, and cannot send the token yet; CORS answers that, no route does.
        if scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method"):
            return None
        return None if self._is_right(_bearer(scope)) else Problem(_NEEDS_TOKEN, 401)

    def _may_open(self, scope: WebSocketScope) -> bool:
        if self._token is None:
            return self._is_from_here(scope)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        return self._is_right(_bearer(scope)) or self._is_right(query.get("token", [""])[0])

    def _is_right(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode(errors="surrogateescape"), self._token)

    def _is_from_here(self, scope: Scope) -> bool:
        origin = _header(scope, b"origin")
        if origin and not (origin in self._origins or "*" in self._origins or is_loopback(_hostname(origin))):
            return False
        host = _header(scope, b"host")
        return not host or is_loopback(_hostname(f"//{host}"))

    def _allowed_origin(self, scope: Scope) -> str | None:
        origin = _header(scope, b"origin")
        return origin if origin in self._origins or "*" in self._origins else None


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


async def _answer(send: Send, problem: Problem, origin: str | None) -> None:
    body = msgspec.json.encode(problem)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if problem.status_code == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if origin:  # or the page could not read why it was refused
        headers += [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
    await send({"type": "http.response.start", "status": problem.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _close(receive: Receive, send: Send) -> None:
    await receive()
    # Closed before it is accepted, the client would see an HTTP 403 and no code.
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "a token is needed"})
