"""Decisions that have to be taken down, however long the log is away: what happened to a board, and what came of a request."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.errors import Error as NatsError

from benchwire.events.log import Contended, Decided, LogUnavailable

log = logging.getLogger(__name__)

AGAIN_S = 0.5

State = TypeVar("State")


async def decided(decide: Callable[[], Awaitable[Decided[State]]], *, about: str) -> Decided[State]:
    """What ``decide`` (a ``Log.decide``) returns, tried again until it does. ``about`` says for people what it is about."""
    while True:
        try:
            return await decide()
        except (LogUnavailable, Contended, NatsError, OSError, TimeoutError) as error:
            log.warning("%s: the log cannot be written, trying again: %s", about, error)
            await asyncio.sleep(AGAIN_S)
