"""Publishing into streams, with one subscription for all acknowledgements.

nats-py's ``publish`` makes a random token, a timer, a task and several records for each message, which is five times what it costs to send
one. Here a number tells acknowledgements apart, and whoever waits is found by it.
"""

import asyncio
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError

from benchwire.events.connection import Connection

_NO_RESPONDERS = "503"


class Ack(msgspec.Struct, frozen=True):
    """What the server answers: where the message stands, or where the one stands that came before it with the same id."""

    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(Ack)


class Acks:
    """Whoever waits for an acknowledgement, on one connection."""

    def __init__(self, nc: Connection) -> None:
        self._nc = nc
        self._listening = asyncio.Lock()
        self._prefix = ""
        self._number = 0
        self._waiting: dict[str, asyncio.Future[Msg]] = {}

    async def publish(self, subject: str, body: bytes, *, headers: dict[str, str] | None, timeout_s: float) -> Ack:
        """Publishes ``body``, and returns what the server says of it. One connection keeps the order in which calls of this begin.

        Raises ``APIError`` when the server refuses, ``NoStreamResponseError`` when no stream takes it, ``TimeoutError``, and what NATS raises.
        """
        if not self._prefix:
            await self._listen()
        self._number += 1
        token = str(self._number)
        waiting = self._waiting[token] = asyncio.get_running_loop().create_future()
        try:
            await self._nc.publish(subject, body, reply=self._prefix + token, headers=headers)
            async with asyncio.timeout(timeout_s):
                reply = await waiting
        finally:
            del self._waiting[token]
        if reply.headers and reply.headers.get("Status") == _NO_RESPONDERS:
            raise NoStreamResponseError
        ack = _decoder.decode(reply.data)
        if ack.error is not None:
            raise APIError.from_error(ack.error)
        return ack

    async def _listen(self) -> None:
        async with self._listening:
            if not self._prefix:
                prefix = self._nc.new_inbox() + "."
                await self._nc.hear(prefix + "*", self._hear)
                self._prefix = prefix

    def _hear(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is not None and not waiting.done():  # otherwise he has given up
            waiting.set_result(message)
