"""Publishing into streams, with one subscription for all acknowledgements.

nats-py's ``publish`` makes a random token, a timer, a task and several records for each message, which is five times what it costs to send
one. Here a number tells acknowledgements apart, and whoever waits for many of them waits once.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError

from benchwire.events.connection import Connection
from benchwire.events.deadline import awaited
from benchwire.events.outgoing import Outgoing
from benchwire.events.parser import Heard

_NO_RESPONDERS = "503"


class Ack(msgspec.Struct, frozen=True):
    """What the server answers: where the message stands, or where the one stands that came before it with the same id."""

    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(Ack)


class Acks:
    """Whoever waits for acknowledgements, on one connection."""

    def __init__(self, nc: Connection) -> None:
        self._nc = nc
        self._listening = asyncio.Lock()
        self._prefix = ""
        self._number = 0
        self._waiting: dict[str, _Call] = {}

    async def publish(self, subject: str, body: bytes, *, headers: dict[str, str] | None, timeout_s: float) -> Ack:
        """Publishes ``body``, and returns what the server says of it. One connection keeps the order in which calls of this begin.

        Raises ``APIError`` when the server refuses, ``NoStreamResponseError`` when no stream takes it, ``TimeoutError``, and what NATS raises.
        """
        (answer,) = await self.publish_all([Outgoing(subject, body, headers)], timeout_s=timeout_s)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def publish_all(self, messages: Sequence[Outgoing], *, timeout_s: float) -> list[Ack | Exception]:
        """Publishes ``messages`` in their order, and returns what came of each: its ``Ack``, or what ``publish`` would have raised.

        What NATS raises when it takes no more is raised here too, and none of them is sent then.
        """
        if not self._prefix:
            await self._listen()
        call = _Call(self._number, len(messages))
        tokens = [str(self._number + place) for place in range(len(messages))]
        self._number += len(messages)
        self._waiting.update(dict.fromkeys(tokens, call))
        try:
            await self._nc.publish_all(messages, [self._prefix + token for token in tokens])
            await call.over(timeout_s)
        finally:
            if call.left:
                for token in tokens:
                    self._waiting.pop(token, None)
        return [_answer(one) for one in call.replies]

    async def _listen(self) -> None:
        async with self._listening:
            if not self._prefix:
                prefix = self._nc.new_inbox() + "."
                await self._nc.hear(prefix + "*", self._hear)
                self._prefix = prefix

    def _hear(self, message: Heard) -> None:
        token = message.subject[len(self._prefix) :]
        call = self._waiting.pop(token, None)
        if call is not None:  # otherwise he has given up
            call.take(int(token), message)


class _Call:
    """The replies to messages that were published together, the first with the number ``first``; None for one that has not come."""

    def __init__(self, first: int, count: int) -> None:
        self.replies: list[Heard | None] = [None] * count
        self.left = count
        self._first = first
        self._all_there = asyncio.get_running_loop().create_future()

    def take(self, number: int, reply: Heard) -> None:
        self.replies[number - self._first] = reply
        self.left -= 1
        if not self.left and not self._all_there.done():
            self._all_there.set_result(None)

    async def over(self, timeout_s: float) -> None:
        """Returns when all replies are there, or the time is up."""
        if self.left:
            with contextlib.suppress(TimeoutError):
                await awaited(self._all_there, timeout_s=timeout_s)


def _answer(reply: Heard | None) -> Ack | Exception:
    if reply is None:
        return TimeoutError("no acknowledgement came in time")
    if reply.headers and reply.headers.get("Status") == _NO_RESPONDERS:
        return NoStreamResponseError()
    try:
        ack = _decoder.decode(reply.data)
    except msgspec.MsgspecError as error:
        return NatsError(f"what was answered is no acknowledgement: {error}")
    if ack.error is not None:
        return _refusal(ack.error)
    return ack if ack.seq else NatsError("what was answered is no acknowledgement: it names no place in the stream")


def _refusal(error: dict[str, Any]) -> APIError:
    try:
        APIError.from_error(error)  # which raises it
    except APIError as refused:
        return refused
    raise AssertionError("unreachable: from_error raises")
