"""The scripted model, as the real client of the Messages API sees it."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
import pytest_asyncio
from anthropic.types import Message, MessageParam, ToolParam

from benchwire.events import child
from benchwire.events.testing.eventually import eventually

SCRIPT = """
[[turn]]
contains = ["Board profile: stm32f405", "blink"]
attempt = 1
text = "A first try."
text_file = "first.c"

[[turn]]
contains = "Board profile: stm32f405"
attempt = 2
text = "The second try."

[[turn]]
last = "which boards"
text = "I look."
tool = { name = "list_boards", input = { host = "bench-1", all = true } }

[[turn]]
last = "stm32-1 is free"
text = "One board is free: stm32-1."

[[turn]]
contains = "tell me slowly"
pause_s = 0.2
text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[turn]]
contains = "think long"
delay_s = 30.0
text = "Done."

[[turn]]
contains = "overload once"
times = 1
error = { status = 529, type = "overloaded_error" }

[[turn]]
contains = "overload once"
text = "Now I can."
"""
FIRMWARE = "int main(void)\n{\n    return 0;\n}\n"
TOOLS: list[ToolParam] = [{"name": "list_boards", "input_schema": {"type": "object"}}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    tmp_path = tmp_path_factory.mktemp("scripted")
    (tmp_path / "first.c").write_text(FIRMWARE)
    script = tmp_path / "script.toml"
    script.write_text(SCRIPT)
    port_file = tmp_path / "port"
    argv = [sys.executable, "-m", "benchwire.deploy.scripted", "--script", str(script), "--port-file", str(port_file)]
    async with child.spawn(argv) as process:
        await eventually(port_file.exists, within_s=30, what="a port file")
        yield f"http://127.0.0.1:{port_file.read_text().strip()}"
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 30) == 0
    assert not port_file.exists()


@pytest.fixture
async def client(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key="any", base_url=url, max_retries=0) as client:
        yield client


def said(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


async def test_an_answer_is_a_sentence_and_the_file_in_a_fenced_block(client: anthropic.AsyncAnthropic) -> None:
    messages = said("Board profile: stm32f405\nMake it blink.")
    answer = await client.messages.create(model="some-model", max_tokens=1000, messages=messages)
    assert answer.content[0].type == "text"
    assert answer.content[0].text == f"A first try.\n\n```c\n{FIRMWARE}```"
    assert (answer.role, answer.model, answer.stop_reason) == ("assistant", "some-model", "end_turn")
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


async def test_a_streamed_answer_is_the_same_as_a_whole_one(client: anthropic.AsyncAnthropic) -> None:
    messages = said("Board profile: stm32f405\nMake it blink.")
    whole = await client.messages.create(model="m", max_tokens=1000, messages=messages)
    async with client.messages.stream(model="m", max_tokens=1000, messages=messages) as stream:
        kinds = [event.type async for event in stream]
        streamed = await stream.get_final_message()
    assert streamed.content[0].type == whole.content[0].type == "text"
    assert streamed.content[0].text == whole.content[0].text
    assert streamed.stop_reason == "end_turn"
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    raw = [kind for kind in kinds if kind != "text"]
    assert raw[:2] == ["message_start", "content_block_start"]
    assert raw[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(raw[2:-3]) == {"content_block_delta"}


async def test_the_attempt_is_counted_by_the_assistants_messages(client: anthropic.AsyncAnthropic) -> None:
    messages: list[MessageParam] = [
        *said("Make it blink."),
        {"role": "assistant", "content": "int main"},
        *said("error: expected ';'"),
    ]
    answer = await client.messages.create(
        model="m", max_tokens=1000, system="Board profile: stm32f405", messages=messages
    )
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "The second try."


def test_the_synchronous_client_and_the_beta_interface_work_too(url: str) -> None:
    with anthropic.Anthropic(api_key="any", base_url=url) as client:
        with client.messages.stream(
            model="m", max_tokens=10, messages=said("Board profile: stm32f405 blink")
        ) as stream:
            assert "".join(stream.text_stream).startswith("A first try.")
        beta = client.beta.messages.create(model="m", max_tokens=10, messages=[{"role": "user", "content": "hello"}])
        assert beta.content[0].type == "text"
        assert "scripted model" in beta.content[0].text
        assert [model.id for model in client.models.list()] == ["scripted-model"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_tool_is_called_and_its_result_is_answered(client: anthropic.AsyncAnthropic, streamed: bool) -> None:
    messages = said("which boards are there?")
    first: Message
    if streamed:
        async with client.messages.stream(model="m", max_tokens=100, messages=messages, tools=TOOLS) as stream:
            first = await stream.get_final_message()
    else:
        first = await client.messages.create(model="m", max_tokens=100, messages=messages, tools=TOOLS)
    assert first.stop_reason == "tool_use"
    call = first.content[1]
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("list_boards", {"host": "bench-1", "all": True})
    messages += [
        {"role": "assistant", "content": [call.model_dump()]},  # type: ignore[list-item, misc]
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "stm32-1 is free"}]},
    ]
    second = await client.messages.create(model="m", max_tokens=100, messages=messages, tools=TOOLS)
    assert second.content[0].type == "text"
    assert second.content[0].text == "One board is free: stm32-1."


async def test_a_tool_that_is_not_offered_is_not_called(client: anthropic.AsyncAnthropic) -> None:
    answer = await client.messages.create(model="m", max_tokens=100, messages=said("which boards are there?"))
    assert answer.stop_reason == "end_turn"
    assert answer.content[0].type == "text"
    assert "scripted model" in answer.content[0].text


async def test_a_call_without_its_result_is_refused_as_the_api_refuses_it(client: anthropic.AsyncAnthropic) -> None:
    messages: list[MessageParam] = [
        *said("which boards?"),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "list_boards", "input": {}}]},
        *said("never mind"),
    ]
    with pytest.raises(anthropic.BadRequestError, match="toolu_1") as refused:
        await client.messages.create(model="m", max_tokens=100, messages=messages)
    assert refused.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{", "truncated"),
        ('{"model": "m", "max_tokens": 5}', "messages"),
        ('{"model": "m", "max_tokens": "five", "messages": [{"role": "user", "content": "x"}]}', "max_tokens"),
        ('{"model": "m", "max_tokens": 5, "messages": []}', "messages"),
        ('{"model": "m", "max_tokens": 5, "messages": [{"role": "robot", "content": "x"}]}', "messages[0].role"),
        ('{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": ""}]}', "messages.0"),
        ("[]", "object"),
    ],
)
async def test_a_malformed_body_is_a_400_in_the_apis_shape(url: str, body: str, named: str) -> None:
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{url}/v1/messages?beta=true", content=body)
        lost = await http.get(f"{url}/v1/nothing")
    assert answer.status_code == 400
    refusal = answer.json()
    assert refusal["type"] == "error"
    assert refusal["error"]["type"] == "invalid_request_error"
    assert named in refusal["error"]["message"]
    assert (lost.status_code, lost.json()["error"]["type"]) == (404, "not_found_error")


async def test_a_slow_answer_comes_piece_by_piece_and_can_be_left(client: anthropic.AsyncAnthropic) -> None:
    start = time.monotonic()
    async with client.messages.stream(model="m", max_tokens=100, messages=said("tell me slowly")) as stream:
        async for text in stream.text_stream:
            assert text.startswith("a")
            first = text
            break
    async with client.messages.stream(model="m", max_tokens=100, messages=said("tell me slowly")) as stream:
        whole = await stream.get_final_text()
    assert len(whole) > 100
    assert len(first) < len(whole)
    assert time.monotonic() - start > 0.4


async def test_a_model_call_can_be_cancelled_before_its_first_byte(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            client.messages.create(model="m", max_tokens=100, messages=said("think long")), timeout=0.5
        )


async def test_a_scripted_error_is_the_error_of_the_client_and_goes_away(client: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.APIStatusError) as overloaded:
        await client.messages.create(model="m", max_tokens=100, messages=said("overload once"))
    assert overloaded.value.status_code == 529
    answer = await client.messages.create(model="m", max_tokens=100, messages=said("overload once"))
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "Now I can."


async def test_what_was_recorded_is_streamed_to_the_client_as_it_was(tmp_path: Path) -> None:
    thought = {"type": "thinking", "thinking": "Where am I?", "signature": "c2ln"}
    call = {"type": "tool_use", "id": "toolu_7", "name": "list_boards", "input": {"host": "bench-1"}}
    usage = {"input_tokens": 70, "output_tokens": 30, "cache_read_input_tokens": 500}
    turn = {"content": [thought, {"type": "text", "text": "I look."}, call], "stop_reason": "tool_use", "usage": usage}
    conversations = [{"name": "c", "first": "look", "turn": [turn, {"text": "Done."}]}]
    script, port_file = tmp_path / "cassette.json", tmp_path / "port"
    script.write_text(json.dumps({"cassette": 1, "conversation": conversations}))
    argv = [sys.executable, "-m", "benchwire.deploy.scripted", "--script", str(script), "--port-file", str(port_file)]
    async with child.spawn(argv):
        await eventually(port_file.exists, within_s=30, what="a port file")
        url = f"http://127.0.0.1:{port_file.read_text().strip()}"
        async with anthropic.AsyncAnthropic(api_key="any", base_url=url, max_retries=0) as client:
            asked: Any = {"model": "m", "max_tokens": 100, "messages": said("look"), "tools": TOOLS}
            whole = await client.messages.create(**asked)
            async with client.messages.stream(**asked) as stream:
                streamed = await stream.get_final_message()
            results = [{"type": "tool_result", "tool_use_id": "toolu_7", "content": "none"}]
            asked["messages"] += [
                {"role": "assistant", "content": streamed.content},
                {"role": "user", "content": results},
            ]
            after = await client.messages.create(**asked)
    for answer in (whole, streamed):
        assert [one.model_dump(exclude_none=True, exclude={"caller"}) for one in answer.content] == turn["content"]
        assert (answer.stop_reason, answer.usage.input_tokens, answer.usage.output_tokens) == ("tool_use", 70, 30)
        assert answer.usage.cache_read_input_tokens == 500
    assert after.content[0].type == "text"
    assert after.content[0].text == "Done."


async def test_a_script_that_cannot_be_read_is_one_sentence_and_78(tmp_path: Path) -> None:
    script = tmp_path / "bad.toml"
    script.write_text('[[turn]]\ntext_file = "absent.c"\n')
    argv = [sys.executable, "-m", "benchwire.deploy.scripted", "--script", str(script)]
    async with child.spawn(argv, stderr=child.PIPE) as process:
        _, stderr = await process.communicate()
        assert process.returncode == 78
    assert b"absent.c" in stderr
    assert stderr.count(b"\n") == 1
