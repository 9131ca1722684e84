"""Saying no to a WebSocket."""

from litestar.types import Receive, Send

INVALID_DATA = 1007
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013
_LONGEST_REASON_BYTES = 123  # RFC 6455, 5.5


def fitting(reason: str) -> str:
    """``reason``, no longer than a close frame takes."""
    return reason.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")


async def refused(receive: Receive, send: Send, *, code: int, reason: str) -> None:
    """Accepts the WebSocket and closes it with ``code``: closed before, its client would see an HTTP 403 and no code."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
    await send({"type": "websocket.close", "code": code, "reason": fitting(reason)})
