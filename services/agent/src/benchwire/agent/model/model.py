"""The model endpoint, through the Anthropic SDK: is there one, what it answers, and what its errors mean for a person."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anthropic
import msgspec
import stamina
from anthropic import AsyncAnthropic

from benchwire.agent import fitting
from benchwire.agent.errors import BrokeOff, ModelFailed
from benchwire.agent.model import complaints, structured
from benchwire.agent.model.patience import Patience
from benchwire.agent.model.structured import Parsed
from benchwire.agent.settings import Settings

_NO_KEY = "not-needed"  # what an endpoint without keys is sent, because the SDK sends nothing without one
_ASKS = 3  # of one answer, when it breaks off; the SDK itself asks again only until the first byte
_CONNECT_S = 10.0

_CACHED = {"type": "ephemeral"}
MAX_ANSWER_CHARS = 256 * 1024  # what the compiler takes as one file; a real endpoint ends at max_tokens

Turn = dict[str, Any]
T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: its text, why it ended, and what it cost; what came out of the endpoint's cache counts as input, too."""

    text: str
    stop_reason: str | None
    model: str
    input_tokens: int
    output_tokens: int
    duration_s: float


class Length:
    """How long one answer is by now, whatever it is made of."""

    def __init__(self) -> None:
        self._chars = 0

    def add(self, piece: str) -> None:
        """Raises ``ModelFailed`` when it is longer than any answer that ends."""
        self._chars += len(piece)
        if self._chars > MAX_ANSWER_CHARS:
            raise ModelFailed(f"the model's answer is longer than {MAX_ANSWER_CHARS} characters; it was broken off")


def asks() -> AsyncIterator[stamina.Attempt]:
    """Attempts at one answer, with a pause between them, as long as it is ``BrokeOff`` that they raise."""
    return aiter(stamina.retry_context(on=BrokeOff, attempts=_ASKS, timeout=None, wait_initial=0.5, wait_max=5.0))


class Habits:
    """What an endpoint turned out to be like: whether it ``caches``, or refuses a request that asks for it."""

    def __init__(self) -> None:
        self.caches = True


class Model:
    """One endpoint and the name of one model. ``patience_s`` is for how long it may ask to be left alone."""

    def __init__(
        self,
        client: AsyncAnthropic,
        name: str,
        *,
        max_tokens: int,
        patience_s: float = 60.0,
        habits: Habits | None = None,
    ) -> None:
        self.client = client
        self.name = name
        self.max_tokens = max_tokens
        self._patience_s = patience_s
        self._habits = habits or Habits()

    def named(self, name: str | None) -> "Model":
        """The same endpoint with another model, if there is a name."""
        if not name:
            return self
        return Model(self.client, name, max_tokens=self.max_tokens, patience_s=self._patience_s, habits=self._habits)

    def prefix(self, system: str) -> dict[str, Any]:
        """What a request with the system prompt ``system`` begins with; what comes before it, and the conversation, is cached if that can be."""
        if not self._habits.caches:
            return {"system": system}
        return {"system": [{"type": "text", "text": system, "cache_control": _CACHED}], "cache_control": _CACHED}

    def broke_off(self, error: Exception) -> BrokeOff | None:
        """``error`` as the reason to ask once more: an answer that ended before its end, or an endpoint that does not know caching."""
        knows_no_caching = self._habits.caches and complaints.is_about(error, "cache_control")
        if knows_no_caching:
            self._habits.caches = False
        if knows_no_caching or complaints.is_break(error) or complaints.is_passing(error):
            return BrokeOff(str(self.failed(error)))
        return None

    @property
    def cut_short(self) -> BrokeOff:
        """What is raised for an answer that ended without saying why."""
        return BrokeOff(complaints.broke_off(self.client.base_url))

    async def answer(
        self,
        messages: list[Turn],
        *,
        system: str,
        hear: Callable[[str], Awaitable[None]],
        schema: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The answer to ``messages``; ``hear`` gets its text piece by piece. Raises ``ModelFailed``.

        An answer that breaks off on its way is asked for again; ``hear`` then hears the new one from its beginning. ``schema`` is a JSON
        schema that the endpoint is asked to hold the answer to.
        """
        started = time.monotonic()
        async for attempt in asks():
            with attempt:
                message = await self._whole(messages, system, hear, schema)
        usage = message.usage
        return Answer(
            text=fitting.well_formed("".join(block.text for block in message.content if block.type == "text")),
            stop_reason=message.stop_reason,
            model=message.model,
            input_tokens=usage.input_tokens
            + (usage.cache_creation_input_tokens or 0)
            + (usage.cache_read_input_tokens or 0),
            output_tokens=usage.output_tokens,
            duration_s=time.monotonic() - started,
        )

    async def parsed(
        self,
        messages: list[Turn],
        *,
        system: str,
        kind: type[T],
        check: Callable[[T], None] | None = None,
        hear: Callable[[str], Awaitable[None]] | None = None,
    ) -> Parsed[T]:
        """The answer to ``messages`` as a ``kind``: see ``structured.parsed``. Raises ``ModelFailed``."""
        return await structured.parsed(self, messages, system=system, kind=kind, check=check, hear=hear)

    async def _whole(
        self,
        messages: list[Turn],
        system: str,
        hear: Callable[[str], Awaitable[None]],
        schema: Mapping[str, Any] | None,
    ) -> anthropic.types.Message:
        try:
            return await self._streamed(messages, system, hear, schema)
        except ModelFailed:
            raise
        except Exception as error:
            raise self.broke_off(error) or self.failed(error) from error

    async def _streamed(
        self,
        messages: list[Turn],
        system: str,
        hear: Callable[[str], Awaitable[None]],
        schema: Mapping[str, Any] | None,
    ) -> anthropic.types.Message:
        asked: Any = messages  # built from blocks that the API itself sent, or from text
        held: Any = {}
        if schema is not None:
            held = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
        async with self.client.messages.stream(
            model=self.name, max_tokens=self.max_tokens, messages=asked, **self.prefix(system), **held
        ) as stream:
            length = Length()
            async for event in stream:
                if event.type == "text":
                    length.add(event.text)
                    await hear(event.text)
                elif event.type == "thinking":
                    length.add(event.thinking)
            message = await stream.get_final_message()
        if message.stop_reason is None:
            raise self.cut_short
        return message

    def failed(self, error: Exception) -> ModelFailed:
        """``error`` as a sentence that a person can act on. What is not the endpoint's or the network's doing is raised as it is."""
        said = complaints.sentence(error, where=self.client.base_url, model=self.name, patience_s=self._patience_s)
        if said is None:
            raise error
        return ModelFailed(said)


def configured(settings: Settings, environment: Mapping[str, str] | None = None) -> Model | None:
    """The model that the environment names; None when it names none."""
    environment = os.environ if environment is None else environment
    client = AsyncAnthropic(
        timeout=anthropic.Timeout(settings.model_timeout_s, connect=_CONNECT_S), max_retries=settings.model_retries,
        middleware=[Patience(settings.model_patience_s)],
    )  # fmt: skip
    if client.api_key is None and client.auth_token is None and client.credentials is None:
        if not environment.get("ANTHROPIC_BASE_URL"):
            return None
        client = client.with_options(api_key=_NO_KEY)
    return Model(client, settings.model, max_tokens=settings.model_max_tokens, patience_s=settings.model_patience_s)
