"""Pulling from a JetStream consumer over one plain subscription, and noticing when that can no longer be relied on.

nats-py's ``fetch`` makes a future and a timer per message, and in Python 3.11 its ``wait_for`` can lose a cancel; here messages are heard as
they come, requests overlap, and heartbeats tell silence from an idle stream.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncGenerator

from benchwire.events.bus import Bus
from benchwire.events.parser import Heard

_HEARTBEAT_S = 1.0
_SILENCE_S = 3.0
_EXPIRES_S = 30.0
_NS = 1_000_000_000


class Lost(Exception):
    """The consumer, the connection or the request is gone; whoever pulled has to begin anew."""


class Pull:
    """Requests to one consumer, ``batch`` messages at a time."""

    def __init__(self, bus: Bus, stream: str, consumer: str, batch: int) -> None:
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._reply = bus.nc.new_inbox()
        self._inbox: deque[Heard | None] = deque()
        self._came = asyncio.Event()
        self._asked = 0
        self._lost: Lost | None = None

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncGenerator[None, None]:
        """Messages can be taken for the time of the context; without anybody listening the server forgets what it was asked for."""
        subscription = await self._bus.nc.hear(self._reply, self._take)
        try:
            with self._bus.on_reconnect(lambda: self._take(None)):
                yield
        finally:
            await self._bus.nc.deaf(subscription)

    async def messages(self) -> list[Heard]:
        """What has come, at least one message. Raises ``Lost``, but only after what came before the loss was taken."""
        while True:
            if self._lost is not None:
                raise self._lost
            if self._asked < self._batch:
                await self._ask()
            if came := self._sorted_out(await self._drained()):
                return came

    def _take(self, message: Heard | None) -> None:
        self._inbox.append(message)
        self._came.set()

    async def _ask(self) -> None:
        request = {"batch": self._batch, "expires": int(_EXPIRES_S * _NS), "idle_heartbeat": int(_HEARTBEAT_S * _NS)}
        await self._bus.nc.publish(self._subject, json.dumps(request).encode(), reply=self._reply)
        self._asked += self._batch

    async def _drained(self) -> list[Heard | None]:
        if not self._inbox:
            self._came.clear()
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await self._came.wait()
            except TimeoutError:
                raise Lost("silence") from None
        else:
            await asyncio.sleep(0)  # whoever takes without end lets others have their turn
        return [self._inbox.popleft() for _ in range(min(len(self._inbox), self._batch))]

    def _sorted_out(self, taken: list[Heard | None]) -> list[Heard]:
        messages = []
        for one in taken:
            if one is None:
                self._lost = Lost("the connection came back")
            elif one.headers and "Status" in one.headers and one.subject == self._reply:  # events may have it, too
                self._status(one.headers)
            else:
                self._asked -= 1
                messages.append(one)
            if self._lost is not None:
                break
        return messages

    def _status(self, headers: dict[str, str]) -> None:
        match headers["Status"]:
            case "100":  # idle heartbeat
                return
            case "408" | "404":  # the request ran out; the header tells how much of it was left
                self._asked -= int(headers.get("Nats-Pending-Messages", self._asked))
            case status:
                self._lost = Lost(f"{status} {headers.get('Description', '')}")
