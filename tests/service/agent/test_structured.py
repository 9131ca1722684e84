"""Answers that are data. The endpoint is an HTTP server that streams prepared answers and keeps what it was asked; it knows no more of the API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from msgspec import Struct

from benchwire.agent.errors import ModelFailed
from benchwire.agent.model.model import Model
from benchwire.agent.model.structured import Parsed


class Module(Struct):
    name: str
    lines: int = 0


class Plan(Struct):
    modules: list[Module]
    summary: str = ""


GOOD = {"modules": [{"name": "parser", "lines": 3}], "summary": "one"}
PLAN = Plan(modules=[Module("parser", 3)], summary="one")
ASKED = [{"role": "user", "content": "plan it"}]


class Endpoint:
    """Gives ``answers`` in their order (a text, or a status and an error's sentence); ``asked`` are the bodies that came."""

    def __init__(self, *answers: str | tuple[int, str], stop_reason: str = "end_turn") -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers = list(answers)
        self._stop_reason = stop_reason

    @asynccontextmanager
    async def model(self) -> AsyncIterator[Model]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with AsyncAnthropic(base_url=f"http://127.0.0.1:{port}", api_key="k", max_retries=0) as client:
                yield Model(client, "x", max_tokens=1000)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        self.asked.append(json.loads(await reader.readexactly(length)))
        answer = self._answers.pop(0)
        status, kind, body = 200, "text/event-stream", ""
        if isinstance(answer, tuple):
            status, kind = answer[0], "application/json"
            body = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": answer[1]}})
        else:
            body = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in self._events(answer))
        data = body.encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n".encode()
            + data
        )
        await writer.drain()
        writer.close()

    def _events(self, text: str) -> list[dict[str, Any]]:
        usage = {"input_tokens": 7, "output_tokens": 1}
        message: dict[str, Any] = {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "x",
            "content": [],
            "stop_reason": None,
        }
        return [
            {"type": "message_start", "message": {**message, "stop_sequence": None, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": self._stop_reason, "stop_sequence": None},
                "usage": {"output_tokens": 5},
            },
            {"type": "message_stop"},
        ]


async def plan_of(endpoint: Endpoint, **more: Any) -> Parsed[Plan]:
    async with endpoint.model() as model:
        return await model.parsed(ASKED, system="You plan.", kind=Plan, **more)


async def test_the_schema_goes_to_the_endpoint_and_into_the_prompt_and_the_answer_is_data() -> None:
    endpoint = Endpoint(json.dumps(GOOD))
    parsed = await plan_of(endpoint)
    assert parsed.value == PLAN
    assert (parsed.model, parsed.input_tokens, parsed.output_tokens) == ("x", 7, 5)
    (asked,) = endpoint.asked
    held = asked["output_config"]["format"]
    assert held["type"] == "json_schema"
    assert held["schema"]["$defs"]["Plan"]["required"] == ["modules"]
    assert held["schema"]["$defs"]["Module"]["additionalProperties"] is False
    (block,) = asked["system"]
    assert block["text"].startswith("You plan.")
    assert '"modules"' in block["text"]
    assert asked["messages"] == ASKED


@pytest.mark.parametrize(
    "answer",
    [
        f"Here is the plan you asked for:\n\n{json.dumps(GOOD, indent=2)}\n\nTell me if {{more}} is needed.",
        f"```json\n{json.dumps(GOOD)}\n```",
        f"For {{x}} I would say {{}} first.\n```\n{json.dumps(GOOD)}\n```\nDone.",
    ],
)
async def test_an_endpoint_that_knows_no_schemas_may_put_prose_or_a_fence_around_it(answer: str) -> None:
    assert (await plan_of(Endpoint(answer))).value == PLAN


async def test_an_answer_that_does_not_fit_is_asked_for_once_more_with_what_was_wrong() -> None:
    endpoint = Endpoint('{"modules": [{"lines": 3}]}', json.dumps(GOOD))
    parsed = await plan_of(endpoint)
    assert parsed.value == PLAN
    assert (parsed.input_tokens, parsed.output_tokens) == (14, 10)
    told = endpoint.asked[1]["messages"]
    assert [one["role"] for one in told] == ["user", "assistant", "user"]
    assert "missing required field `name` - at `$.modules[0]`" in told[2]["content"]


async def test_what_the_type_cannot_say_is_checked_too() -> None:
    def check(plan: Plan) -> None:
        if any(one.name == "utils" for one in plan.modules):
            raise ValueError("a module is called utils; name what it does")

    endpoint = Endpoint('{"modules": [{"name": "utils"}]}', json.dumps(GOOD))
    assert (await plan_of(endpoint, check=check)).value == PLAN
    assert "a module is called utils" in endpoint.asked[1]["messages"][2]["content"]


async def test_what_never_fits_fails_with_a_sentence_after_two_answers() -> None:
    endpoint = Endpoint("I would rather talk about it.", "Really.")
    with pytest.raises(ModelFailed, match="is not what was asked for: it holds no complete JSON object"):
        await plan_of(endpoint)
    assert len(endpoint.asked) == 2


async def test_a_refusal_is_not_asked_again() -> None:
    endpoint = Endpoint("No.", stop_reason="refusal")
    with pytest.raises(ModelFailed, match="declined"):
        await plan_of(endpoint)


async def test_an_answer_that_was_cut_off_is_none_although_a_part_of_it_would_fit() -> None:
    with pytest.raises(ModelFailed, match="cut off at the token limit"):
        await plan_of(Endpoint(json.dumps(GOOD), json.dumps(GOOD), stop_reason="max_tokens"))


async def test_an_endpoint_that_refuses_the_schema_is_asked_without_it() -> None:
    endpoint = Endpoint((400, "output_config.format: this model takes no schema"), json.dumps(GOOD))
    assert (await plan_of(endpoint)).value == PLAN
    assert "output_config" not in endpoint.asked[1]
    assert '"modules"' in endpoint.asked[1]["system"][0]["text"]


async def test_an_endpoint_that_knows_no_caching_is_asked_without_it() -> None:
    endpoint = Endpoint((400, "cache_control: unknown field"), json.dumps(GOOD))
    assert (await plan_of(endpoint)).value == PLAN
    assert "cache_control" not in json.dumps(endpoint.asked[1])
    assert "output_config" in endpoint.asked[1]


async def test_another_refusal_of_the_endpoint_stays_one() -> None:
    endpoint = Endpoint((400, "your credit balance is too low"))
    with pytest.raises(ModelFailed, match="credit balance"):
        await plan_of(endpoint)
    assert len(endpoint.asked) == 1
