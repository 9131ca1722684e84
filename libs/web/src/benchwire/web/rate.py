"""How often one caller may call: ``BENCHWIRE_RATE_LIMIT=1000/second``, for each token by itself, or each address where there is none.

Off unless set: hooks report thousands of events a second, and a figure that fits every lab does not exist. Calls are counted by Litestar,
in windows of fixed length and in the memory of this process; the opening of a WebSocket counts as one.
"""

import re
from typing import Any, cast

from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import TooManyRequestsException
from litestar.middleware.rate_limit import DurationUnit, RateLimitConfig, RateLimitMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from benchwire.events.settings import InvalidSettings
from benchwire.web.peers import peer_of
from benchwire.web.scopes import name_of
from benchwire.web.sockets import TRY_AGAIN_LATER, refused

MOST = 10_000  # Litestar keeps a time for each call of a window, and reads them all with each
_RATE = re.compile(r"(\d{1,9})/(second|minute|hour|day)")
_SENTENCE = "more calls than the {most} that this service takes from one caller in a {unit}; try again a little later"


def limit(text: str) -> RateLimitConfig | None:
    """What ``text`` says: ``1000/second``, also per minute, hour or day; empty means no limit. Raises ``InvalidSettings``."""
    if not text.strip():
        return None
    found = _RATE.fullmatch(text.strip())
    most = int(found[1]) if found else 0
    if not found or not 1 <= most <= MOST:
        raise InvalidSettings(
            f"BENCHWIRE_RATE_LIMIT: {text!r} is no limit; write 1000/second, or a number of 1 to {MOST} per minute, hour or day"
        )
    return RateLimitConfig(
        rate_limit=(cast("DurationUnit", found[2]), most),
        exclude=["^/health$"],
        identifier_for_request=_who,
        middleware_class=_Limited,
    )


def _who(request: Request[Any, Any, Any]) -> str:
    if (name := name_of(request)) is not None:
        return f"token {name}"
    return f"address {peer_of(request.client.host)}" if request.client else "nobody knows who"


class _Limited(RateLimitMiddleware):
    """Litestar's own, for WebSockets too, and with ``Retry-After``."""

    def __init__(self, app: ASGIApp, config: RateLimitConfig) -> None:
        super().__init__(app, config)
        self.scopes = {ScopeType.HTTP, ScopeType.WEBSOCKET}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts the call, and passes it on or refuses it."""
        try:
            await super().__call__(scope, receive, send)
        except TooManyRequestsException as error:
            sentence = _SENTENCE.format(most=self.max_requests, unit=self.unit)
            if scope["type"] == ScopeType.WEBSOCKET:
                await refused(receive, send, code=TRY_AGAIN_LATER, reason=sentence)
                return
            headers = dict(error.headers or {})
            headers["Retry-After"] = str(max(1, int(headers.get("RateLimit-Reset", 1))))
            raise TooManyRequestsException(detail=sentence, headers=headers) from None
