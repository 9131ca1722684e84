"""The model as the author of one module and its tests."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from benchwire.agent.author import Draft, NoCode, telling
from benchwire.agent.code import prompt
from benchwire.agent.code.plan import tests_of
from benchwire.agent.errors import ModelFailed
from benchwire.agent.model.endpoint import Endpoint
from benchwire.events.task import NodeSpec

KEPT_ROUNDS = 4  # of a conversation: what was tried long before helps less than it costs


class ModelAuthor:
    """The model; ``guidance`` gives what people said since it was asked last, ``say`` tells whoever watches.

    ``asked`` is the message that it all begins with. ``before`` are the sources that a runner before this one had from it.
    """

    def __init__(
        self, endpoint: Endpoint, node: NodeSpec, *, asked: str, tries: int, before: Mapping[str, str] | None,
        guidance: Callable[[], Awaitable[list[str]]], say: Callable[[str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.tries = tries
        self._endpoint = endpoint
        self._module = node.node_id
        self._asked = asked
        self._guidance = guidance
        self._said: list[str] = []
        self._say = say
        self._sources: Mapping[str, str] = before or {}
        self._rounds: list[dict[str, Any]] = [_answer(prompt.answer(before))] if before else []

    async def draft(self, feedback: str | None) -> Draft:
        """The model's next answer, as both sources. Raises ``NoCode`` and ``ModelFailed``."""
        self._said += await self._guidance()
        if self._rounds:
            asked = prompt.again(feedback or "Write it again.", self._module)
            self._rounds.append(_question(prompt.guided(self._said) + asked))
            messages = [_question(self._asked), *self._rounds]
        else:
            messages = [_question(prompt.guided(self._said) + self._asked)]
        model = await self._endpoint.model()
        answer = await model.answer(messages, system=prompt.WRITE, hear=telling(self._endpoint.name, self._say))
        if answer.stop_reason == "refusal":
            raise ModelFailed(f"the model declined to write {self._module}")
        # An empty message would be refused when it is sent back.
        self._rounds.append(_answer(answer.text.strip() or "(no answer)"))
        self._rounds = self._rounds[-2 * KEPT_ROUNDS + 1 :]
        self._sources = self._completed(prompt.files_of(answer.text, self._module), answer.stop_reason)
        return Draft(
            sources=dict(self._sources), model=answer.model, input_tokens=answer.input_tokens, output_tokens=answer.output_tokens,
            duration_s=answer.duration_s,
        )  # fmt: skip

    def _completed(self, found: dict[str, str], stop_reason: str | None) -> dict[str, str]:
        """Both files: what is not in an answer is as it was before. Raises ``NoCode``."""
        files = (self._module, tests_of(self._module))
        known = found if stop_reason == "max_tokens" else {**self._sources, **found}
        missing = [one for one in files if one not in known]
        if missing or not found:
            raise NoCode(prompt.no_files(stop_reason, missing or files))
        return {one: known[one] for one in files}


def _question(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _answer(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}
