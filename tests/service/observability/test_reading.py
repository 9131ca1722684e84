"""Reading much, finding words, counting tokens; and writing much at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from benchwire.events import nats_server
from benchwire.events.log import Log
from benchwire.events.projection import rows_of
from benchwire.events.session import ModelUsed
from benchwire.events.testing.eventually import eventually
from benchwire.observability import ingest
from benchwire.observability.main import observe
from benchwire.observability.queries import of_events
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

AT = "2026-01-17T12:00:00"
NDJSON = {"Content-Type": "application/x-ndjson"}


def message(text: str, session_id: str = "s") -> dict[str, Any]:
    block = {"type": "text", "text": text}
    return {"event_type": "message", "session_id": session_id, "timestamp": AT, "role": "user", "content": [block]}


def body_of(*events: dict[str, Any]) -> str:
    return "\n".join(json.dumps(event) for event in events)


async def texts(client: httpx.AsyncClient, path: str, **query: Any) -> list[str]:
    answer = (await client.get(path, params=query)).json()
    return [event["content"][0]["text"] for event in answer["events"]]


# Pages


async def test_a_long_history_is_sent_in_pieces_and_is_whole(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_events, "PIECE_ROWS", 50)
    expected = [f"{number}" for number in range(333)]
    await client.post("/events", content=body_of(*map(message, expected)), headers=NDJSON)
    answer = await client.get("/sessions/s/events")
    assert "content-length" not in answer.headers
    assert [event["content"][0]["text"] for event in answer.json()["events"]] == expected
    assert await texts(client, "/events/s", limit=120) == expected[:120]
    assert await texts(client, "/events/s", limit=120, before=1 << 53) == expected[-120:]
    assert (await client.get("/sessions/s/events?limit=10")).headers["content-length"]


async def test_pages_go_backwards_from_the_end_to_the_beginning(client: httpx.AsyncClient) -> None:
    expected = [f"{number}" for number in range(10)]
    await client.post("/events", content=body_of(*map(message, expected)), headers=NDJSON)
    before: int | None = 1 << 53
    pages = []
    while before is not None:
        page = (await client.get("/events/s", params={"limit": 4, "before": before})).json()
        pages.append([event["content"][0]["text"] for event in page["events"]])
        before = page.get("next_before")
    assert pages == [["6", "7", "8", "9"], ["2", "3", "4", "5"], ["0", "1"]]


WRONG_QUERIES = (
    ("/sessions?limit=0", "limit"),
    ("/sessions?limit=ten", "limit"),
    ("/sessions?cursor=bm8", "cursor"),
    ("/sessions?cursor=%00%ff", "cursor"),
    ("/sessions/s/events?after=-1", "after"),
    ("/sessions/s/events?before=soon", "before"),
    ("/events/s?limit=99999999999999999999", "limit"),
    ("/events?q=x&limit=201", "limit"),
    ("/events?q=x&cursor=WyJ4Il0", "cursor"),
    ("/events?q=", "q"),
    ("/usage?by=moon", "by"),
    ("/usage?since=yesterday", "since"),
    ("/usage?until=2026-13-01", "until"),
)


async def test_what_is_wrong_with_a_query_is_named(client: httpx.AsyncClient) -> None:
    await client.post("/events", json=message("x"))
    await eventually(lambda: _answers(client, "/events?q=x"))
    for path, named in WRONG_QUERIES:
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["detail"].partition(":")[0]) == (400, named), path


async def _answers(client: httpx.AsyncClient, path: str) -> bool:
    return (await client.get(path)).status_code == 200


ODD_IDS = ("ü", "a.b", "a b", "*", ">", "%00", "x" * 10_000, "%ff%fe", "..%2f", "%F0%9F%92%A9", "'; --")
OF_A_SESSION = ("", "/status", "/events", "/usage", "/stream", "/result")
QUERIES = ("/events?q=x&session_id=", "/events?q=x&event_type=", "/usage?session_id=", "/usage?model=", "/sessions?q=")


async def test_no_odd_id_is_a_fault_of_the_service(client: httpx.AsyncClient) -> None:
    begun = {"event_type": "session_start", "timestamp": AT}
    for odd in ODD_IDS:
        for path in OF_A_SESSION:
            assert (await client.get(f"/sessions/{odd}{path}")).status_code < 500, (odd, path)
        for query in QUERIES:
            assert (await client.get(f"{query}{odd}")).status_code in (200, 400, 503), (odd, query)
        assert (await client.post(f"/sessions/{odd}/events", json=begun)).status_code < 500, odd


# Search


async def found(client: httpx.AsyncClient, q: str, **query: Any) -> list[str]:
    answer = await client.get("/events", params={"q": q, **query})
    return [hit["snippet"] for hit in answer.json().get("results", ())]


async def test_what_was_said_is_found_newest_first_and_in_pages(client: httpx.AsyncClient) -> None:
    tool = {
        "event_type": "post_tool", "session_id": "t", "session_name": "Tools", "timestamp": AT, "tool_name": "compile",
        "tool_input": {"file": "blink.c"}, "tool_output": {"stderr": "error: 'GPIO_NUM_2' undeclared"}, "error": None,
    }  # fmt: skip
    await client.post("/events", json=[message("blink the LED"), tool, message("it blinks"), message("blink again")])
    await eventually(lambda: found(client, "again"))
    assert await found(client, "blink") == [
        "\x02blink\x03 again",
        "compile\n\x02blink\x03.c\nerror: 'GPIO_NUM_2' undeclared",
        "\x02blink\x03 the LED",
    ]
    assert await found(client, "blink*", session_id="s", event_type="message") == [
        "\x02blink\x03 again",
        "it \x02blinks\x03",
        "\x02blink\x03 the LED",
    ]
    assert await found(client, "blink", session_id="nobody") == []
    first = (await client.get("/events", params={"q": "blink", "limit": 2})).json()
    assert {"id", "session_id", "session_name", "event_type", "timestamp", "snippet"} == set(first["results"][0])
    assert first["results"][1]["session_name"] == "Tools"
    assert await found(client, "blink", limit=2, cursor=first["next_cursor"]) == ["\x02blink\x03 the LED"]
    await client.delete("/sessions/t")
    await eventually(lambda: _finds_nothing(client, "undeclared"))


async def _finds_nothing(client: httpx.AsyncClient, q: str) -> bool:
    return await found(client, q) == []


async def test_words_and_usage_that_are_built_anew_are_those_of_the_live_ones(
    log: Log, nats: nats_server.Server, tmp_path: Path
) -> None:
    settings = Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    files = (settings.projection_file, settings.search_file)

    async def rows(*, gather: str) -> list[Any]:
        async with (
            running(lambda ready: observe(settings, on_ready=ready)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
        ):
            if gather == "live":
                for session_id in ("kept", "gone", "gone"):
                    await client.post(
                        "/events", json=[message(f"{session_id} words", session_id), message("more", session_id)]
                    )
                    await log.append(used(session_id))
                    if session_id == "gone":
                        await eventually(lambda: _counts(client, "gone"))
                        (await client.delete("/sessions/gone")).raise_for_status()
                await client.post("/events", json=message("last", "kept"))
            await eventually(lambda: found(client, "last"))  # what was said before it has been taken, too
            assert await _finds_nothing(client, "gone")
            told = (await client.get("/usage", params={"by": "session"})).json()
        return [told, *[await asyncio.to_thread(rows_of, file) for file in files]]

    live = await rows(gather="live")
    for file in files:
        await asyncio.to_thread(file.unlink)
    assert await rows(gather="again") == live
    calls = {line["session_id"]: line["calls"] for line in live[0]["usage"]}
    assert calls == {None: 2, "kept": 1}
    assert [row[1] for row in live[2]["texts"]] == ["kept", "kept", "kept"]


async def _counts(client: httpx.AsyncClient, session_id: str) -> bool:
    answer = await client.get(f"/sessions/{session_id}/usage")
    return answer.status_code == 200 and answer.json()["total"]["calls"] > 0


# Usage


def used(session_id: str, model: str = "claude-sonnet-5-5", day: int = 0, tokens: int = 1000) -> ModelUsed:
    return ModelUsed(
        timestamp=datetime(2026, 1, 17, 23, 59, tzinfo=UTC) + timedelta(days=day), session_id=session_id, model=model,
        input_tokens=tokens, output_tokens=2 * tokens, cache_creation_input_tokens=3 * tokens, cache_read_input_tokens=4 * tokens,
    )  # fmt: skip


async def test_tokens_are_counted_by_session_model_and_day_and_what_has_no_price_is_told(
    client: httpx.AsyncClient, log: Log
) -> None:
    for event in (used("a"), used("a", day=1), used("b"), used("b", model="of-our-own"), used("c", model="of-our-own")):
        await log.append(event)
    await eventually(lambda: _counts(client, "c"))

    async def usage(**query: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await client.get("/usage", params=query)).json()
        return answer

    # 1000 x 2 $ + 2000 x 10 $ + 3000 x 2.5 $ + 4000 x 0.2 $, per million
    cost = 0.0303
    by_model = await usage(by="model")
    assert [(one["model"], one["calls"], one["cost_usd"], one["unpriced_calls"]) for one in by_model["usage"]] == [
        ("claude-sonnet-5-5", 3, pytest.approx(3 * cost), 0),
        ("of-our-own", 2, None, 2),
    ]
    assert by_model["total"] == {
        "calls": 5, "input_tokens": 5000, "output_tokens": 10_000, "cache_creation_input_tokens": 15_000,
        "cache_read_input_tokens": 20_000, "cost_usd": pytest.approx(3 * cost), "unpriced_calls": 2,
    }  # fmt: skip
    assert [(one["session_id"], one["calls"]) for one in (await usage(by="session"))["usage"]] == [
        ("a", 2),
        ("b", 2),
        ("c", 1),
    ]
    assert [(one["day"], one["calls"]) for one in (await usage(by="day"))["usage"]] == [
        ("2026-01-17", 4),
        ("2026-01-18", 1),
    ]
    assert (await usage(by="day", since="2026-01-18"))["total"]["calls"] == 1
    assert (await usage(by="day", until="2026-01-18T00:30:00+01:00", session_id="a"))["total"]["calls"] == 1
    assert [(one["model"], one["day"]) for one in (await usage(by="model,day", session_id="a"))["usage"]] == [
        ("claude-sonnet-5-5", "2026-01-17"),
        ("claude-sonnet-5-5", "2026-01-18"),
    ]
    of_a = (await client.get("/sessions/a/usage")).json()
    assert (of_a["session_id"], of_a["total"]["calls"], of_a["usage"][0]["model"]) == ("a", 2, "claude-sonnet-5-5")
    assert (await client.get("/sessions/nobody/usage")).status_code == 404
    (await client.delete("/sessions/a")).raise_for_status()
    after = await usage(by="session")
    assert after["total"] == by_model["total"]
    assert [one["session_id"] for one in after["usage"]] == [None, "b", "c"]


# Bulk


async def test_lines_are_taken_however_many_and_the_bad_ones_are_named_up_to_a_number(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    assert settings.body_limit_bytes < 10 << 20
    long = json.dumps(message("x" * ingest.LONGEST_LINE_BYTES))

    async def stream() -> AsyncIterator[bytes]:
        for number in range(120):
            yield f"{json.dumps(message(f'{number} ' + 'x' * 90_000))}\r\n\n".encode()
            yield b"nonsense\n"
        yield f"{long}\n".encode()
        yield json.dumps(message("without an end of line")).encode()

    answer = await client.post("/events", content=stream(), headers=NDJSON)
    told = answer.json()
    assert (answer.status_code, told["ok"], told["accepted"], told["rejected"]) == (200, False, 121, 121)
    assert (len(told["errors"]), told["errors_left_out"]) == (100, 21)
    assert [one["line"] for one in told["errors"][:2]] == [3, 6]
    said = await texts(client, "/events/s")
    assert [text.partition(" ")[0] for text in said] == [*(f"{number}" for number in range(120)), "without"]


async def test_what_a_client_that_went_away_had_finished_is_there_and_nothing_else(
    client: httpx.AsyncClient, port: int
) -> None:
    await client.post("/events", json=message("before"))
    whole = body_of(*(message(f"{number}") for number in range(600)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(whole) * 2}\r\n\r\n"
    writer.write(head.encode() + whole.encode() + b'\n{"event_type": "message", "session_id": "s"')
    await writer.drain()
    await eventually(lambda: _has(client, 1 + 512))  # two windows
    writer.close()
    del reader
    await client.post("/events", json=message("after"))
    said = await texts(client, "/events/s")
    assert said[0] == "before"
    assert "after" in said
    assert [text for text in said if text.isdecimal()] == [f"{number}" for number in range(len(said) - 2)]


async def _has(client: httpx.AsyncClient, count: int) -> bool:
    return len(await texts(client, "/events/s")) >= count


async def test_when_nats_dies_in_the_middle_the_count_is_told_and_a_repeat_with_the_key_doubles_nothing(
    tmp_path: Path,
) -> None:
    store = tmp_path / "nats"
    events = [message(f"{number}") for number in range(1000)]
    keyed = {**NDJSON, "Idempotency-Key": "once"}
    async with nats_server.running(store) as first:
        nats_port = first.port
        settings = Settings(nats_url=first.url, data=tmp_path / "data", observability_port=0)
        service = running(lambda ready: observe(settings, on_ready=ready))
        port = await service.__aenter__()
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0)

        async def half_then_none() -> AsyncIterator[bytes]:
            yield (body_of(*events[:600]) + "\n").encode()
            await eventually(lambda: _has(client, 512))
            first.process.kill()
            await first.process.wait()
            yield body_of(*events[600:]).encode()

        answer = await client.post("/events", content=half_then_none(), headers=keyed)
    try:
        told = answer.json()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert 512 <= told["accepted"] < 1000
        assert f"{told['accepted']} events had landed" in told["detail"]
        async with nats_server.running(store, port=nats_port):
            await eventually(lambda: _answers(client, "/health"), within_s=20.0)
            again = await client.post("/events", content=body_of(*events), headers=keyed)
            assert (again.status_code, again.json()["accepted"]) == (200, 1000)
            assert await texts(client, "/events/s") == [f"{number}" for number in range(1000)]
    finally:
        await client.aclose()
        await service.__aexit__(None, None, None)


async def test_prices_of_our_own_replace_those_that_are_shipped(settings: Settings, log: Log, tmp_path: Path) -> None:
    table = tmp_path / "prices.toml"
    await asyncio.to_thread(table.write_text, '[models."of-our"]\ninput = 1000.0\noutput = 0.0\n')
    own = msgspec.structs.replace(settings, prices_file=table)
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
    ):
        await log.append(used("a", model="of-our-own"))
        await eventually(lambda: _counts(client, "a"))
        assert (await client.get("/usage")).json()["total"]["cost_usd"] == 1.0
