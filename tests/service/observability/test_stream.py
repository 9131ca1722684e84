"""Server-Sent Events: what is on the WebSocket of one session, for those that have none."""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import httpx
import pytest

from benchwire.events.testing.eventually import eventually
from benchwire.observability.queries import of_events
from benchwire.observability.routes import stream

AT = "2026-01-17T12:00:00"


class Told(NamedTuple):
    """One event of a stream."""

    id: str
    kind: str
    data: dict[str, Any]

    @property
    def key(self) -> tuple[int, str]:
        return self.data["seq"], self.kind


def hook(kind: str, session_id: str = "s", **fields: Any) -> dict[str, Any]:
    return {"event_type": kind, "session_id": session_id, "timestamp": AT, **fields}


def message(number: int, session_id: str = "s") -> dict[str, Any]:
    return hook("message", session_id, role="user", content=[{"type": "text", "text": f"{number}"}])


async def post(client: httpx.AsyncClient, *events: dict[str, Any]) -> None:
    (await client.post("/events", json=list(events))).raise_for_status()


@contextlib.asynccontextmanager
async def listening(client: httpx.AsyncClient, after: str | None = None) -> AsyncIterator[AsyncIterator[Told]]:
    headers = {} if after is None else {"Last-Event-ID": after}
    async with client.stream("GET", "/sessions/s/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield told(answer)


async def told(answer: httpx.Response) -> AsyncIterator[Told]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield Told(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


async def some(frames: AsyncIterator[Told], count: int) -> list[Told]:
    async with asyncio.timeout(20.0):
        return [await anext(frames) for _ in range(count)]


async def test_a_stream_begins_with_how_things_stand_and_goes_on_with_what_happens(client: httpx.AsyncClient) -> None:
    await post(client, hook("session_start", session_name="S"))
    async with listening(client) as frames:
        (first,) = await some(frames, 1)
        assert (first.kind, [one["session_id"] for one in first.data["sessions"]]) == ("init", ["s"])
        await post(client, message(1), message(2, "another"), hook("session_stop"))
        rest = await some(frames, 3)
    assert [one.kind for one in rest] == ["event", "event", "session_updated"]
    assert rest[2].data["session"]["status"] == "finished"
    assert [one.id for one in rest] == [str(rest[0].data["seq"]), f"{rest[1].data['seq']}.1", str(rest[2].data["seq"])]


async def test_who_is_cut_off_anywhere_and_comes_back_misses_nothing_and_gets_nothing_twice(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_events, "PIECE_ROWS", 7)  # so that what was missed takes several pieces
    chosen = random.Random(7)
    await post(client, hook("session_start"))
    expected = 1 + 1 + 150 + 6
    seen: list[Told] = []

    async def happen() -> None:
        for number in range(150):
            await post(client, message(number))
            if number % 50 == 10:
                await post(client, hook("session_stop"))
                await post(client, hook("session_start"))

    happening = asyncio.create_task(happen())
    after = "0"
    async with asyncio.timeout(60.0):
        while len({one.key for one in seen if one.kind == "event"}) < expected - 1:
            async with listening(client, after) as frames:
                # That nothing comes for a while is a cut, too: a stream that was cancelled once gives nothing more.
                with contextlib.suppress(TimeoutError):
                    for _ in range(chosen.randint(1, 9)):
                        seen.append(await asyncio.wait_for(anext(frames), 0.5))
                        after = seen[-1].id
    await happening
    assert len({one.key for one in seen}) == len(seen)
    assert [one.key[0] for one in seen] == sorted(one.key[0] for one in seen)
    assert seen[0].kind == "session_created"
    texts = [one.data["data"]["content"][0]["text"] for one in seen if one.data.get("data", {}).get("content")]
    assert texts == [f"{number}" for number in range(150)]


async def test_a_stream_ends_with_its_session(client: httpx.AsyncClient) -> None:
    await post(client, message(1))
    async with listening(client) as frames:
        (first,) = await some(frames, 1)
        (await client.delete("/sessions/s")).raise_for_status()
        async with asyncio.timeout(20.0):
            assert [one.kind async for one in frames] == ["session_deleted"]
    # Who was away meanwhile is told once; then there is nothing to come back to.
    async with listening(client, first.id) as frames:
        async with asyncio.timeout(20.0):
            (last,) = [one async for one in frames]
    assert last.kind == "session_deleted"
    assert (await client.get("/sessions/s/stream", headers={"Last-Event-ID": last.id})).status_code == 404
    assert (await client.get("/sessions/s/stream")).status_code == 404


async def test_a_place_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    await post(client, message(1))
    for since in ("x", "-1", "1.x", "9" * 30):
        refused = await client.get("/sessions/s/stream", params={"since": since})
        assert (refused.status_code, refused.json()["detail"].partition(":")[0]) == (400, "since"), since


async def test_a_place_that_nobody_has_seen_starts_over(client: httpx.AsyncClient) -> None:
    await post(client, message(1))
    async with listening(client, "999999") as frames:
        assert [one.kind for one in await some(frames, 1)] == ["init"]


async def test_a_quiet_stream_shows_that_it_lives(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT_S", 0.05)
    await post(client, message(1))
    async with client.stream("GET", "/sessions/s/stream") as answer:
        async with asyncio.timeout(20.0):
            lines = [line async for line in _first(answer.aiter_lines(), 9)]
    assert lines.count(": still here") >= 2


async def _first(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield await anext(lines)


async def test_a_reader_that_takes_nothing_is_dropped_and_slows_nobody(client: httpx.AsyncClient, port: int) -> None:
    await post(client, message(1))
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)  # noqa: FBT003
        await asyncio.get_running_loop().sock_connect(slow, ("127.0.0.1", port))
        await asyncio.get_running_loop().sock_sendall(
            slow, b"GET /sessions/s/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        )

        async def clients() -> int:
            return int((await client.get("/health")).json()["clients"])

        await eventually(clients)
        large = hook("message", role="user", content=[{"type": "text", "text": "x" * 500_000}])
        for _ in range(24):  # more than the outbox and what the two sockets hold
            await post(client, large)
        received = b""
        async with asyncio.timeout(30.0):
            while part := await asyncio.get_running_loop().sock_recv(slow, 1 << 20):
                received += part
                if b"too slow" in received:
                    break
        assert received.count(b"event: event") < 24
    await eventually(lambda: _is_none(clients))


async def _is_none(count: Callable[[], Awaitable[int]]) -> bool:
    return await count() == 0
