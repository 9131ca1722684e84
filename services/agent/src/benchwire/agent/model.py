"""The model endpoint, through the Anthropic SDK: is there one, what it answers, and what its errors mean for a person."""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anthropic
import msgspec
from anthropic import AsyncAnthropic

from benchwire.agent.errors import ModelFailed
from benchwire.agent.settings import Settings

log = logging.getLogger(__name__)

_NO_KEY = "not-needed"  # what an endpoint without keys is sent, because the SDK sends nothing without one
_BREAKS = 2  # how often an answer that broke off is asked for again; the SDK itself retries only until the first byte
_CONNECT_S = 10.0

_OVERLOADED = 529  # the Messages API's own status
_SERVER_ERRORS = 500
_REFUSALS = {
    401: ("refused the key", "; check ANTHROPIC_API_KEY of the agent runner"),
    403: ("does not let this key use {model}", "; use another key, or another model with BENCHWIRE_MODEL"),
    404: ("does not know {model}", "; choose another with BENCHWIRE_MODEL"),
    429: ("has a rate limit, which is reached", "; try again later"),
}

# What the SDK raises over a stream that is empty, no JSON, or no events of the Messages API.
_GARBLED = (AssertionError, ValueError, TypeError, AttributeError, LookupError)
MAX_ANSWER_CHARS = 256 * 1024  # what the compiler takes as one file; a real endpoint ends at max_tokens
MAX_SAID_CHARS = 1000

Turn = dict[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: its text, why it ended, and what it cost."""

    text: str
    stop_reason: str | None
    model: str
    input_tokens: int
    output_tokens: int
    duration_s: float


class Model:
    """One endpoint and the name of one model."""

    def __init__(self, client: AsyncAnthropic, name: str, *, max_tokens: int) -> None:
        self.client = client
        self.name = name
        self.max_tokens = max_tokens

    def named(self, name: str | None) -> "Model":
        """The same endpoint with another model, if there is a name."""
        return Model(self.client, name, max_tokens=self.max_tokens) if name else self

    async def answer(self, messages: list[Turn], *, system: str, hear: Callable[[str], Awaitable[None]]) -> Answer:
        """The answer to ``messages``; ``hear`` gets its text piece by piece. Raises ``ModelFailed``.

        An answer that breaks off on its way is asked for again; ``hear`` then hears the new one from its beginning.
        """
        started = time.monotonic()
        for left in range(_BREAKS, -1, -1):
            try:
                message = await self._streamed(messages, system, hear)
                break
            except ModelFailed:
                raise
            except anthropic.APIConnectionError as error:
                raise self.failed(error) from error
            except Exception as error:
                if left == 0 or not is_break(error):
                    raise self.failed(error) from error
        return Answer(
            text=_unicode("".join(block.text for block in message.content if block.type == "text")),
            stop_reason=message.stop_reason,
            model=message.model,
            input_tokens=message.usage.input_tokens,
            output_tokens=message.usage.output_tokens,
            duration_s=time.monotonic() - started,
        )

    async def _streamed(
        self, messages: list[Turn], system: str, hear: Callable[[str], Awaitable[None]]
    ) -> anthropic.types.Message:
        asked: Any = messages  # built from blocks that the API itself sent, or from text
        async with self.client.messages.stream(
            model=self.name, max_tokens=self.max_tokens, system=system, messages=asked
        ) as stream:
            heard = 0
            async for text in stream.text_stream:
                heard += len(text)
                if heard > MAX_ANSWER_CHARS:
                    raise ModelFailed(
                        f"the model's answer is longer than {MAX_ANSWER_CHARS} characters; it was broken off"
                    )
                await hear(text)
            return await stream.get_final_message()

    def failed(self, error: Exception) -> ModelFailed:
        """``error`` as a sentence that a person can act on. What is not the endpoint's or the network's doing is raised as it is."""
        if isinstance(error, anthropic.APIStatusError):
            return ModelFailed(self._refusal(error))
        where = self.client.base_url
        if isinstance(error, anthropic.APITimeoutError):
            return ModelFailed(
                f"the model endpoint {where} did not answer in time; is it overloaded, or is something in between?"
            )
        if isinstance(error, anthropic.APIConnectionError):
            return ModelFailed(
                f"no connection to the model endpoint {where} ({_innermost(error)}); is it running, is the address right?"
            )
        if is_break(error):
            return ModelFailed(
                f"the model endpoint {where} broke off in the middle of its answer ({_innermost(error)})"
            )
        if isinstance(error, anthropic.AnthropicError):
            return ModelFailed(f"the model endpoint {where} cannot be used: {error}")
        if isinstance(error, _GARBLED):
            log.warning("the model endpoint's answer could not be read", exc_info=error)
            return ModelFailed(
                f"the model endpoint {where} answered with something that is no answer of the Messages API "
                f"({type(error).__name__}); is the address right?"
            )
        raise error

    def _refusal(self, error: anthropic.APIStatusError) -> str:
        said = f"{error.status_code}: {_said(error)}"
        if error.status_code == _OVERLOADED or _kind(error) == "overloaded_error":
            return f"the model endpoint is overloaded ({said}); try again later"
        if error.status_code >= _SERVER_ERRORS:
            return f"the model endpoint has a problem of its own ({said}); try again later"
        what, todo = _REFUSALS.get(error.status_code, ("refused the request", ""))
        return f"the model endpoint {what} ({said}){todo}".replace("{model}", self.name)


def configured(settings: Settings, environment: Mapping[str, str] | None = None) -> Model | None:
    """The model that the environment names; None when it names none."""
    environment = os.environ if environment is None else environment
    client = AsyncAnthropic(
        timeout=anthropic.Timeout(settings.model_timeout_s, connect=_CONNECT_S), max_retries=settings.model_retries
    )
    if client.api_key is None and client.auth_token is None and client.credentials is None:
        if not environment.get("ANTHROPIC_BASE_URL"):
            return None
        client = client.with_options(api_key=_NO_KEY)
    return Model(client, settings.model, max_tokens=settings.model_max_tokens)


def is_break(error: Exception) -> bool:
    """Whether ``error`` is the transport's, in the middle of an answer: the SDK passes that on as the HTTP library raises it."""
    return type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2")


def _said(error: anthropic.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("error"), dict) and body["error"].get("message"):
        return _unicode(str(body["error"]["message"])[:MAX_SAID_CHARS])
    return _unicode(error.message[:MAX_SAID_CHARS])


def _unicode(text: str) -> str:
    """JSON may hold half of a surrogate pair, which no log takes."""
    return text.encode(errors="replace").decode()


def _kind(error: anthropic.APIStatusError) -> str | None:
    body = error.body
    inner = body.get("error") if isinstance(body, dict) else None
    return str(inner.get("type")) if isinstance(inner, dict) else None


def _innermost(error: BaseException) -> str:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__
