from typing import Any, cast

import pytest

from benchwire.agent.author import NoCode
from benchwire.agent.code.author import KEPT_ROUNDS, ModelAuthor
from benchwire.agent.errors import ModelFailed
from benchwire.agent.model.endpoint import Endpoint
from benchwire.agent.model.model import Answer
from benchwire.events.task import NodeSpec

BOTH = "```python a.py\nA = 1\n```\n```python test_a.py\nfrom a import A\n```"


class Line:
    """An endpoint that gives prepared answers, and keeps what it was asked."""

    name = "a-model"

    def __init__(self, *answers: str, stop_reason: str = "end_turn") -> None:
        self.asked: list[list[dict[str, Any]]] = []
        self._answers = list(answers)
        self._stop_reason = stop_reason

    async def model(self) -> "Line":
        return self

    async def answer(self, messages: list[dict[str, Any]], **_: Any) -> Answer:
        self.asked.append([dict(one) for one in messages])
        text = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return Answer(
            text=text, stop_reason=self._stop_reason, model="m", input_tokens=1, output_tokens=1, duration_s=0.1
        )


def author(line: Line, said: list[list[str]] | None = None, before: dict[str, str] | None = None) -> ModelAuthor:
    coming = said or []

    async def guidance() -> list[str]:
        return coming.pop(0) if coming else []

    async def say(_: str) -> None:
        """Nobody watches."""

    return ModelAuthor(
        cast("Endpoint", line), NodeSpec(node_id="a.py"), asked="Write a.py", tries=9, before=before, guidance=guidance, say=say
    )  # fmt: skip


async def test_a_long_conversation_keeps_its_beginning_its_latest_rounds_and_what_people_said() -> None:
    line = Line(BOTH)
    one = author(line, said=[["first"], [], ["second"]])
    for number in range(8):
        await one.draft(f"feedback {number}" if number else None)
    for messages in line.asked:
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"]
        assert "Write a.py" in messages[0]["content"]
        assert len(messages) <= 2 * KEPT_ROUNDS + 1
    latest = line.asked[-1][-1]["content"]
    assert "feedback 7" in latest
    assert "watches: first\n" in latest
    assert "watches: second\n" in latest


async def test_a_file_that_is_left_out_stays_as_it_was() -> None:
    one = author(Line(BOTH, "```python a.py\nA = 2\n```"))
    await one.draft(None)
    assert (await one.draft("no")).sources == {"a.py": "A = 2\n", "test_a.py": "from a import A\n"}


async def test_an_answer_without_files_or_with_half_of_one_is_none() -> None:
    with pytest.raises(NoCode, match=r"no code block for test_a\.py"):
        await author(Line("```python a.py\nA = 1\n```")).draft(None)
    one = author(
        Line("```python a.py\nA = 2\n```", stop_reason="max_tokens"), before={"a.py": "A = 1\n", "test_a.py": "x\n"}
    )
    with pytest.raises(NoCode, match="cut off"):
        await one.draft("no")


async def test_a_model_that_declines_ends_the_module() -> None:
    with pytest.raises(ModelFailed, match="declined"):
        await author(Line("No.", stop_reason="refusal")).draft(None)


async def test_who_takes_over_goes_on_in_the_conversation_before() -> None:
    line = Line(BOTH)
    await author(line, before={"a.py": "A = 0\n", "test_a.py": "from a import A\n"}).draft("A is 0")
    assert [one["role"] for one in line.asked[0]] == ["user", "assistant", "user"]
    assert "A = 0" in line.asked[0][1]["content"]
    assert "A is 0" in line.asked[0][2]["content"]
