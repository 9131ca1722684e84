"""What a route wants of a token, asked once the route is known.

A handler says it with ``opt={"scope": Scope.CONTROL}``. Without a word, GET and WebSockets want ``read``, and everything else ``write``.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Send
from litestar.types import Scope as Call

from benchwire.web.sockets import POLICY_VIOLATION, refused
from benchwire.web.tokens import Scope

if TYPE_CHECKING:
    from benchwire.web.callers import Caller  # which needs the settings, and these a room that needs this one

CALLER = "caller"  # in the state of a call; the guard puts a Caller there, unless the path is open
_OPT = "scope"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def needed(handler: BaseRouteHandler) -> Scope:
    """The scope that ``handler`` wants."""
    said = handler.opt.get(_OPT)
    if said is not None:
        return Scope(said)
    changes = isinstance(handler, HTTPRouteHandler) and not handler.http_methods <= _READING
    return Scope.WRITE if changes else Scope.READ


def may(connection: ASGIConnection[Any, Any, Any, Any], scope: Scope) -> bool:
    """Whether who opened ``connection`` has ``scope``; for what is asked on it later."""
    caller = _caller(connection.scope)
    return caller is None or caller.may(scope)


def name_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """The name of the token that ``connection`` was opened with, where there are tokens."""
    caller = _caller(connection.scope)
    return caller.name if caller is not None and caller.is_known else None


def is_allowed(call: Call, handler: BaseRouteHandler) -> bool:
    """Whether whoever calls has what ``handler`` wants."""
    caller = _caller(call)
    return caller is None or caller.may(needed(handler))


def lacking(scope: Scope) -> str:
    """The sentence for a token that has not got ``scope``."""
    return f"this token may not do that: it needs the scope {scope}"


def _caller(call: Call) -> "Caller | None":
    caller: Caller | None = cast("Mapping[str, Any]", call).get("state", {}).get(CALLER)
    return caller


class Scoped(ASGIMiddleware):
    """Lets pass who has the scope: HTTP is told 403, a WebSocket is closed with 1008."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    async def handle(self, scope: Call, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Asks the caller that the guard has found."""
        handler = scope["route_handler"]
        if is_allowed(scope, handler):
            await next_app(scope, receive, send)
        elif scope["type"] == ScopeType.WEBSOCKET:
            await refused(receive, send, code=POLICY_VIOLATION, reason=lacking(needed(handler)))
        else:
            raise PermissionDeniedException(lacking(needed(handler)))
