"""Answers that are data: asked for with a JSON schema, read strictly, and asked for once more when they do not fit.

The schema goes to the endpoint as ``output_config``, so that it can hold the model to it, and into the system prompt, for endpoints that know
no such thing. What comes back may have prose or a code fence around it.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anthropic
import msgspec

from benchwire.agent.errors import ModelFailed

if TYPE_CHECKING:
    from benchwire.agent.model.model import Answer, Model, Turn

T = TypeVar("T")

REPAIRS = 1
MAX_WHY_CHARS = 2000
_LOOKED_AT = 32  # opening braces that no JSON begins at: prose has a few, and each costs a try
_REFUSING = (400, 422)


class Parsed(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An answer as data, and what all rounds that it took cost together."""

    value: T
    model: str
    input_tokens: int
    output_tokens: int
    duration_s: float


class Unfit(ValueError):
    """The answer is not what was asked for; the sentence tells the model what is wrong."""


async def parsed(
    model: "Model",
    messages: "list[Turn]",
    *,
    system: str,
    kind: type[T],
    check: Callable[[T], None] | None = None,
    hear: Callable[[str], Awaitable[None]] | None = None,
) -> Parsed[T]:
    """The answer to ``messages`` as a ``kind``, a Struct with a required field and none that is a dict (the API's schemas know no such).

    ``check`` may raise ``ValueError`` about what the type cannot say; an answer that does not fit is asked for once more, with the reason.
    Raises ``ModelFailed``.
    """
    asking = _Asking(model, schema_of(kind), system, hear or _nobody)
    conversation, answers = list(messages), []
    for left in range(REPAIRS, -1, -1):
        answer = await asking.answer(conversation)
        answers.append(answer)
        try:
            value = _checked(answer, kind, check)
        except Unfit as unfit:
            if left == 0:
                raise ModelFailed(f"the model's answer is not what was asked for: {unfit}") from unfit
            conversation += [
                {"role": "assistant", "content": answer.text.strip() or "(no answer)"},
                {
                    "role": "user",
                    "content": f"That does not fit: {unfit}\nAnswer again, with the whole corrected JSON.",
                },
            ]
            continue
        return Parsed(
            value=value, model=answer.model, input_tokens=sum(one.input_tokens for one in answers),
            output_tokens=sum(one.output_tokens for one in answers), duration_s=sum(one.duration_s for one in answers),
        )  # fmt: skip
    raise AssertionError("unreachable: the last round returns or raises")


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """The JSON schema of ``kind``, in the part of JSON Schema that the API takes."""
    (root,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return anthropic.transform_schema({**root, "$defs": components})


def read(text: str, kind: type[T]) -> T:
    """The ``kind`` that ``text`` holds, alone or among prose. Raises ``Unfit``."""
    found = max(_objects(text), key=lambda one: len(one[0]), default=None)
    if found is None:
        raise Unfit("it holds no complete JSON object")
    try:
        return msgspec.convert(found[1], kind)
    except msgspec.ValidationError as error:
        raise Unfit(str(error)) from error


class _Asking:
    """Asks one model, with a schema until its endpoint turns out not to take any."""

    def __init__(
        self, model: "Model", schema: dict[str, Any], system: str, hear: Callable[[str], Awaitable[None]]
    ) -> None:
        self._model = model
        self._system = (
            f"{system}\n\nAnswer with one JSON object and nothing else, no prose and no code fence. "
            f"It has to fit this JSON schema:\n{json.dumps(schema, separators=(',', ':'))}"
        )
        self._schema: dict[str, Any] | None = schema
        self._hear = hear

    async def answer(self, messages: "list[Turn]") -> "Answer":
        try:
            return await self._model.answer(messages, system=self._system, hear=self._hear, schema=self._schema)
        except ModelFailed as failed:
            if self._schema is None or not _is_about_the_schema(failed.__cause__):
                raise
        self._schema = None
        return await self._model.answer(messages, system=self._system, hear=self._hear)


def _is_about_the_schema(error: BaseException | None) -> bool:
    """Whether an endpoint refused a request because of ``output_config``, which models before a certain age and other servers do not take."""
    if not isinstance(error, anthropic.APIStatusError) or error.status_code not in _REFUSING:
        return False
    said = f"{error.message} {error.body}".lower()
    return any(word in said for word in ("output_config", "output_format", "schema", "structured output"))


def _checked(answer: "Answer", kind: type[T], check: Callable[[T], None] | None) -> T:
    if answer.stop_reason == "refusal":
        raise ModelFailed("the model declined to answer")
    if answer.stop_reason in ("max_tokens", "model_context_window_exceeded"):
        raise Unfit("it was cut off at the token limit; make it shorter")
    value = read(answer.text, kind)
    if check is not None:
        try:
            check(value)
        except ValueError as error:
            raise Unfit(str(error)[:MAX_WHY_CHARS]) from error
    return value


def _objects(text: str) -> Iterator[tuple[str, Any]]:
    """The JSON objects in ``text``, each with its source."""
    decoder, place, left = json.JSONDecoder(), text.find("{"), _LOOKED_AT
    while place >= 0 and left > 0:
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            left -= 1
            place = text.find("{", place + 1)
            continue
        yield text[place:end], found
        place = text.find("{", end)


async def _nobody(_: str) -> None:
    """Hears nothing."""
