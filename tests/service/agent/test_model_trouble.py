"""What a model endpoint may answer instead of an answer. The endpoint is a socket that says a prepared thing and closes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from anthropic import AsyncAnthropic

from benchwire.agent.errors import ModelFailed
from benchwire.agent.model import model as models
from benchwire.agent.model.model import Model

START = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"x",'
    '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
)
END = (
    'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


def text(piece: str) -> str:
    return (
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"'
        + piece
        + '"}}\n\n'
    )


def thought(piece: str) -> str:
    return text(piece).replace('"text_delta","text"', '"thinking_delta","thinking"')


@asynccontextmanager
async def endpoint(
    body: str, *, status: str = "200 OK", kind: str = "text/event-stream", length: int | None = None
) -> AsyncIterator[Model]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        data = body.encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length or len(data)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncAnthropic(base_url=f"http://127.0.0.1:{port}", api_key="k", max_retries=0) as client:
            yield Model(client, "x", max_tokens=10)


async def hear(_: str) -> None:
    pass


ASKED = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    "body",
    ["", "<html>It works!</html>", "event: message_start\ndata: {broken\n\n", "event: message_stop\ndata: {}\n\n"],
)
async def test_an_answer_that_is_none_fails_with_a_sentence(body: str) -> None:
    async with endpoint(body) as model:
        with pytest.raises(ModelFailed, match="no answer of the Messages API"):
            await model.answer(ASKED, system="s", hear=hear)


async def test_an_answer_that_is_cut_off_every_time_fails_with_a_sentence() -> None:
    async with endpoint(START + text("half"), length=10_000) as model:
        with pytest.raises(ModelFailed, match="broke off in the middle of its answer"):
            await model.answer(ASKED, system="s", hear=hear)


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (
            'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n',
            "is overloaded",
        ),
        ('event: message_stop\ndata: {"type":"message_stop"}\n\n', "broke off in the middle of its answer"),
    ],
)
async def test_an_answer_that_ends_before_its_end_is_none_and_asked_for_again(end: str, sentence: str) -> None:
    heard: list[str] = []

    async def listen(piece: str) -> None:
        heard.append(piece)

    began = time.monotonic()
    async with endpoint(START + text("half") + end) as model:
        with pytest.raises(ModelFailed, match=sentence):
            await model.answer(ASKED, system="s", hear=listen)
    assert heard == ["half"] * 3
    assert time.monotonic() - began > 1.0  # half a second at least before each of the others


@pytest.mark.parametrize(
    ("status", "sentence"),
    [("429 Too Many Requests", "rate limit"), ("529 Overloaded", "is overloaded"), ("500 Oops", "problem of its own")],
)
async def test_a_refusal_says_what_to_do_and_does_not_repeat_a_page(status: str, sentence: str) -> None:
    async with endpoint("x" * 100_000, status=status, kind="text/html") as model:
        with pytest.raises(ModelFailed, match=sentence) as failed:
            await model.answer(ASKED, system="s", hear=hear)
    assert len(str(failed.value)) < 1500


@pytest.mark.parametrize("piece", [text("x" * 100), thought("x" * 100)])
async def test_an_answer_without_end_is_broken_off(monkeypatch: pytest.MonkeyPatch, piece: str) -> None:
    monkeypatch.setattr(models, "MAX_ANSWER_CHARS", 1000)
    start = (
        START if "text_delta" in piece else START.replace('"type":"text","text":""', '"type":"thinking","thinking":""')
    )
    async with endpoint(start + piece * 11 + END) as model:
        with pytest.raises(ModelFailed, match="longer than 1000 characters"):
            await model.answer(ASKED, system="s", hear=hear)


async def test_half_of_a_surrogate_pair_does_not_reach_the_log() -> None:
    async with endpoint(START + text("a \\ud83d b") + END) as model:
        answer = await model.answer(ASKED, system="s", hear=hear)
    assert answer.text == "a ? b"
