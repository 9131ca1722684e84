"""What the service tells of itself: numbers for Prometheus, the trace of a call, the AsyncAPI document."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceDetached, DeviceLeased
from benchwire.events.host import HostStarted
from benchwire.events.log import Log
from benchwire.events.session import SessionStarted
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.messages import messages, traces
from benchwire.events.testing.samples import AT

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HOOK = {"event_type": "session_start", "session_id": "s-secret-1", "timestamp": "2026-01-17T12:00:00Z"}
PREFIX = "benchwire_observability_"

Numbers = dict[tuple[str, frozenset[str]], float]


async def numbers(client: httpx.AsyncClient) -> Numbers:
    """Each sample by its name, without the service's prefix, and the values of its labels."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (one.name.removeprefix(PREFIX), frozenset(one.labels.values())): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def of(name: str, *labels: str) -> tuple[str, frozenset[str]]:
    return name, frozenset(labels)


async def test_hooks_are_counted_by_type_and_result_and_the_log_by_how_far_it_is(client: httpx.AsyncClient) -> None:
    body = json.dumps(HOOK)
    assert (await client.post("/events", content=body)).status_code == 200
    assert (await client.post("/events", content="nothing")).status_code == 400
    lines = "\n".join([body, "nothing", body]).encode()
    many = await client.post("/events", content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert many.json()["accepted"] == 2
    found = await numbers(client)
    assert found[of("hooks_total", "session_start", "accepted")] == 3
    assert found[of("hooks_total", "unreadable", "rejected")] == 2
    assert found[of("hook_bytes_total")] >= 3 * len(body)
    assert found[of("appends_total", "session_start", "acknowledged")] == 3
    assert found[of("append_ack_seconds_count")] == 3
    assert found[of("projection_applied_sequence")] == found[of("log_last_sequence")] == 3
    assert found[of("projection_lag")] == 0
    assert found[of("nats_connected")] == 1
    assert found[of("process_open_fds")] > 0


async def test_a_call_counts_for_its_route_and_no_id_becomes_a_label(client: httpx.AsyncClient) -> None:
    assert (await client.post("/events", json=HOOK)).status_code == 200
    for path in ("/sessions/s-secret-1", "/sessions/s-secret-2", "/tasks/t-secret", "/no/secret/place", "/x-secret"):
        await client.get(path)
    await client.head("/sessions/s-secret-1")
    await client.request("SECRET", "/sessions/s-secret-1")
    found = await numbers(client)
    assert found[of("http_requests_total", "/sessions/{session_id}", "GET", "200")] == 1
    assert found[of("http_requests_total", "/sessions/{session_id}", "GET", "404")] == 1
    assert found[of("http_requests_total", "/sessions/{session_id}", "HEAD", "200")] == 1
    assert found[of("http_requests_total", "unmatched", "GET", "404")] == 2
    assert found[of("http_request_duration_seconds_count", "/sessions/{session_id}", "GET")] == 2
    assert "secret" not in str(found).lower()


async def test_an_event_that_cannot_be_read_is_seen_among_the_parked(client: httpx.AsyncClient, bus: Bus) -> None:
    await bus.js.publish("bench.session.s-1.started", b'{"event_type":"session_start"}')
    await bus.js.publish("bench.session.s-1.sang", b'{"event_type":"session_sang"}')

    async def seen() -> bool:
        found = await numbers(client)
        return found[of("projection_parked", "malformed")] == found[of("projection_parked", "unknown")] == 1

    await eventually(seen, within_s=15, what="both to be parked")


async def test_listeners_are_counted_by_what_they_listen_to(client: httpx.AsyncClient, port: int) -> None:
    url = f"ws://127.0.0.1:{port}"
    async with (
        connect(f"{url}/ws") as everything,
        connect(f"{url}/ws?session_id=s-secret-1"),
        connect(f"{url}/ws/serial"),
    ):
        await everything.recv()

        async def counted() -> bool:
            found = await numbers(client)
            topics = [found.get(of("clients", one)) for one in ("sessions", "session", "serial")]
            return topics == [1, 1, 1] and found[of("frames_sent_total")] >= 2

        await eventually(counted, within_s=15, what="three listeners and their first frames")

    async def gone() -> bool:
        return not any(name == "clients" for name, _ in await numbers(client))

    await eventually(gone, within_s=15, what="nobody to listen")


async def test_the_trace_of_a_call_stands_in_what_it_writes_and_nowhere_else(
    client: httpx.AsyncClient, bus: Bus
) -> None:
    trace = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "ci=7"}
    task = {"kind": "firmware", "prompt": "blink", "board": "stm32f405"}
    lines = "\n".join([json.dumps(HOOK)] * 3).encode()
    answers = await asyncio.gather(
        client.post("/tasks", json=task, headers=trace),
        client.post("/events", json={**HOOK, "session_id": "untraced"}),
        client.post("/events", content=lines, headers={**trace, "Content-Type": "application/x-ndjson"}),
    )
    assert [one.status_code for one in answers] == [200, 200, 200]
    asked = [one.headers or {} for one in await messages(bus, "bench.task.*.requested")]
    assert [{name: one[name] for name in trace} for one in asked] == [trace]
    hooks = [(one.headers or {}).get("traceparent") for one in await messages(bus, "bench.session.s-secret-1.started")]
    assert hooks == [trace["traceparent"]] * 3
    assert await traces(bus, "bench.session.untraced.*") == {"started": None}


async def test_an_event_of_somebody_else_raises_the_newest_sequence(client: httpx.AsyncClient, log: Log) -> None:
    sequence = await log.append(SessionStarted(timestamp=AT, session_id="s-9"))
    found = await numbers(client)
    assert found[of("log_last_sequence")] == sequence


async def test_what_the_lab_has_in_hand_is_told_with_what_waits(client: httpx.AsyncClient, log: Log) -> None:
    lease = {"host": "h-1", "lease_id": "l-1", "holder": "me"}
    later = datetime.now(UTC) + timedelta(hours=1)
    for event in (
        HostStarted(timestamp=AT, host="h-1", version="1"),
        DeviceAttached(timestamp=AT, host="h-1", device="b-1"),
        DeviceAttached(timestamp=AT, host="h-1", device="b-2"),
        DeviceAttached(timestamp=AT, host="h-1", device="b-3"),
        DeviceDetached(timestamp=AT, host="h-1", device="b-3"),
        DeviceLeased(timestamp=AT, device="b-1", expires_at=later, **lease),
        DeviceLeased(timestamp=AT, device="b-2", expires_at=AT, **lease),
    ):
        await log.append(event)
    assert (await client.post("/events", json=HOOK)).status_code == 200
    assert (await client.post("/sessions", json={"session_id": "q", "session_name": "q", "prompt": "hi"})).is_success
    assert (await client.post("/tasks", json={"prompt": "blink", "board": "stm32f405"})).is_success
    found = await numbers(client)
    assert found[of("sessions_active", "running")] == found[of("sessions_active", "waiting")] == 1
    assert (found[of("tasks_active", "waiting")], found[of("tasks_active", "in_progress")]) == (1, 0)
    assert found[of("flash_jobs_active", "queued")] == 0
    assert (found[of("boards_attached")], found[of("boards_leased")], found[of("hosts_up")]) == (2, 1, 1)


async def test_the_asyncapi_document_is_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert told["asyncapi"] == "3.0.0"
    assert {"/ws", "/ws/{task_id}", "/flash-progress", "/ws/serial"} <= {
        one["address"] for one in told["channels"].values()
    }
    assert "documents.documents" in told["channels"]
