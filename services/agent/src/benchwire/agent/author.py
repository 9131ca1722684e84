"""Whoever writes the sources of a task, firmware's and code's: a person, once; or a model, again and again."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from benchwire.events.task import NodeSpec, TaskRequested

MAX_ITERATIONS = 50
SAY_EVERY_S = 1.0


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Sources to try, by file name; ``model`` is absent when a person wrote them."""

    sources: dict[str, str]
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    duration_s: float = 0.0


class NoCode(Exception):
    """The answer has no code; the sentence is the feedback."""


class Author(Protocol):
    """Whoever writes the sources; ``tries`` is how many there may be."""

    tries: int

    async def draft(self, feedback: str | None) -> Draft:
        """The next sources, after ``feedback`` to the ones before. Raises ``NoCode`` and ``ModelFailed``."""
        ...


class Person:
    """Handed the sources in: they are tried as they are."""

    tries = 1

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    async def draft(self, feedback: str | None) -> Draft:
        """What was handed in."""
        assert feedback is None, "there is one try"
        return Draft(sources=self._sources)


def tries_of(request: TaskRequested, node: NodeSpec) -> int:
    """How often the sources of a node, or module, may be written: as often as is asked for, within limits; what a person wrote is tried once."""
    return 1 if node.sources is not None else min(max(request.max_iterations, 1), MAX_ITERATIONS)


def telling(model: str, say: Callable[[str], Awaitable[None]]) -> Callable[[str], Awaitable[None]]:
    """Hears a model's answer piece by piece, and says now and then how much there is of it."""
    written, said_at = 0, time.monotonic()

    async def hear(text: str) -> None:
        nonlocal written, said_at
        written += len(text)
        if time.monotonic() - said_at >= SAY_EVERY_S:
            said_at = time.monotonic()
            await say(f"{model} writes: {written} characters so far")

    return hear
