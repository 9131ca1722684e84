"""The model as the author of a node's firmware, in one conversation that goes on until it passes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from benchwire.agent.author import Draft, NoCode, telling
from benchwire.agent.firmware import prompt
from benchwire.agent.model.endpoint import Endpoint
from benchwire.boards.profile import ROOT, Profile
from benchwire.events.task import NodeSpec

HEADER = "board.h"


class ModelAuthor:
    """The model; ``guidance`` gives what people said since it was asked last, ``say`` tells whoever watches.

    ``joined`` are the nodes whose UARTs are joined to this one's.
    """

    def __init__(
        self, endpoint: Endpoint, profile: Profile, node: NodeSpec, *, task: str, tries: int, joined: Sequence[NodeSpec],
        guidance: Callable[[], Awaitable[list[str]]], say: Callable[[str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.tries = tries
        self._endpoint = endpoint
        self._profile = profile
        self._node = node
        self._task = task
        self._joined = joined
        self._guidance = guidance
        self._say = say
        self._messages: list[dict[str, Any]] = []

    async def draft(self, feedback: str | None) -> Draft:
        """The model's next answer, as sources. Raises ``NoCode`` and ``ModelFailed``."""
        guidance = await self._guidance()
        if not self._messages:
            header = await asyncio.to_thread(_header, self._profile)
            asked = prompt.first(
                self._profile, self._node, task=self._task, guidance=guidance, joined=self._joined, header=header
            )
            if feedback is not None:  # a runner before this one had it written, and has that conversation
                asked += f"\n\nOf a firmware that was written before it is known:\n{feedback}"
        else:
            asked = prompt.again(feedback or "Write it again.", guidance)
        self._messages.append({"role": "user", "content": asked})
        model = await self._endpoint.model()
        answer = await model.answer(self._messages, system=prompt.SYSTEM, hear=telling(self._endpoint.name, self._say))
        # An empty message would be refused when it is sent back.
        self._messages.append({"role": "assistant", "content": answer.text.strip() or "(no answer)"})
        code = prompt.code_of(answer.text)
        if code is None:
            raise NoCode(prompt.no_code(answer.stop_reason))
        return Draft(
            sources={prompt.FILE: code}, model=answer.model, input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens, duration_s=answer.duration_s,
        )  # fmt: skip


def _header(profile: Profile) -> str:
    """What the board offers its firmware, in its own words; nothing when its firmware does without."""
    file = next((one for one in profile.support if one.rpartition("/")[2] == HEADER), None)
    return "" if file is None else (ROOT / file).read_text()
