"""Where a node's sources come from: a person, once; or the model, in one conversation that goes on until its firmware passes."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from benchwire.agent.endpoint import Endpoint
from benchwire.agent.firmware import prompt
from benchwire.boards.profile import Profile
from benchwire.events.task import NodeSpec

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


class ModelAuthor:
    """The model; ``guidance`` gives what people said since it was asked last, ``say`` tells whoever watches."""

    def __init__(
        self, endpoint: Endpoint, profile: Profile, node: NodeSpec, *, task: str, tries: int,
        guidance: Callable[[], Awaitable[list[str]]], say: Callable[[str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.tries = tries
        self._endpoint = endpoint
        self._profile = profile
        self._node = node
        self._task = task
        self._guidance = guidance
        self._say = say
        self._messages: list[dict[str, Any]] = []

    async def draft(self, feedback: str | None) -> Draft:
        """The model's next answer, as sources. Raises ``NoCode`` and ``ModelFailed``."""
        guidance = await self._guidance()
        asked = (
            prompt.first(self._profile, self._node, task=self._task, guidance=guidance)
            if feedback is None
            else prompt.again(feedback, guidance)
        )
        self._messages.append({"role": "user", "content": asked})
        model = await self._endpoint.model()
        answer = await model.answer(self._messages, system=prompt.SYSTEM, hear=self._telling())
        # An empty message would be refused when it is sent back.
        self._messages.append({"role": "assistant", "content": answer.text.strip() or "(no answer)"})
        code = prompt.code_of(answer.text)
        if code is None:
            raise NoCode(prompt.no_code(answer.stop_reason))
        return Draft(
            sources={prompt.FILE: code}, model=answer.model, input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens, duration_s=answer.duration_s,
        )  # fmt: skip

    def _telling(self) -> Callable[[str], Awaitable[None]]:
        written, said_at = 0, time.monotonic()

        async def hear(text: str) -> None:
            nonlocal written, said_at
            written += len(text)
            if time.monotonic() - said_at >= SAY_EVERY_S:
                said_at = time.monotonic()
                await self._say(f"{self._endpoint.name} writes: {written} characters so far")

        return hear
