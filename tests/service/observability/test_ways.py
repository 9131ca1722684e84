"""Events come in on two ways, one of them for a single event in a plain call: nobody can tell which from the answer, or from what landed."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import refused, running

USUAL = {"Origin": "http://localhost:3000"}  # whatever comes from a page
STOP = {"event_type": "session_stop", "session_id": "s1", "timestamp": "2026-01-17T12:00:00Z", "exit_code": 0}
ANONYMOUS = {name: value for name, value in STOP.items() if name != "session_id"}
BODIES: list[tuple[str, Any]] = [
    ("/events", STOP),
    ("/events", [STOP, {}]),
    ("/events", [{}]),
    ("/events", {**STOP, "exit_code": "no"}),
    ("/events", {**STOP, "session_id": "a.b"}),
    ("/events", {**STOP, "event_type": "nonsense"}),
    ("/events", ANONYMOUS),
    ("/events", None),
    ("/sessions/s1/events", STOP),
    ("/sessions/s1/events", ANONYMOUS),
    ("/sessions/s1/events", [ANONYMOUS]),
    ("/sessions/s2/events", STOP),
    ("/sessions/a.b/events", STOP),
    ("/sessions/a.b/events", [STOP]),
    ("/sessions/%20/events", ANONYMOUS),
]


def seen(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """What is the same on both ways: all but what pages are told, and what the hour is."""
    headers = {
        name: value for name, value in answer.headers.items() if not name.startswith(("access-", "vary", "date"))
    }
    return answer.status_code, answer.content, headers


async def test_the_answer_is_the_same_on_either_way(client: httpx.AsyncClient) -> None:
    for path, body in BODIES:
        straight, usual = [
            await client.post(path, content=json.dumps(body), headers=headers) for headers in ({}, USUAL)
        ]
        assert seen(straight) == seen(usual), (path, body)
    for content in (b"", b"{", b"\xff", b'{"a":' * 5000, b"  [" + json.dumps(STOP).encode() + b"]"):
        assert seen(await client.post("/events", content=content)) == seen(
            await client.post("/events", content=content, headers=USUAL)
        )


async def test_a_path_and_a_body_that_name_two_sessions_are_refused(client: httpx.AsyncClient) -> None:
    for body, words in (
        (STOP, "session_id: it is another one than in the path"),
        (STOP | {"session_id": None}, "session_id"),
    ):
        answer = await client.post("/sessions/s2/events", json=body)
        assert refused(answer, 400, words).startswith("session_id: ")


async def test_lines_and_bodies_without_a_length_are_taken_as_before(client: httpx.AsyncClient) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (json.dumps(STOP)[:20].encode(), json.dumps(STOP)[20:].encode())

    lines = f"{json.dumps(STOP)}\n{json.dumps(STOP)}\n"
    many = await client.post("/events", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert many.json()["accepted"] == 2

    async def slowly() -> Any:
        for piece in pieces():
            yield piece

    assert (await client.post("/events", content=slowly())).json() == {"ok": True}


async def test_what_is_repeated_with_its_key_lands_once_whichever_way_it_comes(client: httpx.AsyncClient) -> None:
    for headers in ({}, USUAL, {}):
        for path in ("/events", "/sessions/s1/events"):
            answer = await client.post(path, json=STOP, headers={"Idempotency-Key": "k", **headers})
            assert answer.json() == {"ok": True}
    assert len((await client.get("/events/s1")).json()["events"]) == 1


@pytest.mark.parametrize("path", ["/events", "/sessions/s1/events"])
async def test_hooks_count_for_the_rate_limit(settings: Settings, path: str) -> None:
    limited = msgspec.structs.replace(settings, rate_limit="2/hour")
    async with (
        running(lambda ready: observe(limited, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
    ):
        assert [(await client.post(path, json=STOP)).status_code for _ in range(2)] == [200, 200]
        refused(await client.post(path, json=STOP), 429, "2")
