"""Room for bodies in memory: so much for all calls together, and half of it for one client, so that nobody keeps it from the others.

Small bodies are not counted, as there are never more of them than connections. A larger one has its room before it is read, for all that its
route may hold of it: none waits half-read for another one that does the same.
"""

import asyncio
from collections import Counter
from typing import Any, cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from benchwire.web.peers import peer_of

HOLDS = "holds_bytes"  # in the opt of a route: how much of a body it has in memory at a time, where that is not the limit of all bodies
SMALL_BYTES = 64 << 10
_WAIT_S = 20.0


class NoRoomForBody(Exception):
    """So much is being read already that there is no memory for this body too."""

    def __init__(self) -> None:
        super().__init__(
            "this service reads as many large bodies as it has memory for; send this one again a little later"
        )


class Room(ASGIMiddleware):
    """``most_bytes`` for all together, 0 for no limit. Who finds no room within ``wait_s`` gets ``NoRoomForBody`` in the place of the body."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, most_bytes: int, *, usual_bytes: int, wait_s: float = _WAIT_S) -> None:
        self._most = most_bytes
        self._usual = usual_bytes
        self._wait_s = wait_s
        self._taken = Counter[str]()  # by peer
        self._freed = asyncio.Event()

    @property
    def taken_bytes(self) -> int:
        """By the bodies of all calls."""
        return self._taken.total()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Lets the body through once there is room for it, which is given back when the call is over."""
        call = cast("HTTPScope", scope)
        announced = _announced_bytes(call)
        if not self._most or (announced is not None and announced <= SMALL_BYTES):
            await next_app(scope, receive, send)
            return
        client = call.get("client")
        peer = peer_of(client[0]) if client else ""
        wanted = call["route_handler"].opt.get(HOLDS, self._usual)
        wanted = wanted if announced is None else min(announced, wanted)
        come = 0 if announced is None else announced
        taken = 0

        async def received() -> Any:
            nonlocal come, taken
            if come > SMALL_BYTES and not taken:
                await self._take(peer, wanted)
                taken = wanted
            message = await receive()
            if announced is None and message["type"] == "http.request":
                come += len(message["body"])
            return message

        try:
            await next_app(scope, received, send)
        finally:
            if taken:
                self._give_back(peer, taken)

    async def _take(self, peer: str, size: int) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                while not self._has_room(peer, size):
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise NoRoomForBody from None
        self._taken[peer] += size

    def _has_room(self, peer: str, size: int) -> bool:
        """One that is larger than all there is has it for itself."""
        of_peer, of_all = self._taken[peer], self.taken_bytes
        return (not of_peer or of_peer + size <= self._most // 2) and (not of_all or of_all + size <= self._most)

    def _give_back(self, peer: str, size: int) -> None:
        self._taken[peer] -= size
        if not self._taken[peer]:
            del self._taken[peer]
        self._freed.set()


def _announced_bytes(scope: HTTPScope) -> int | None:
    """How large the body will be; None when nobody knows yet."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0
