import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from benchwire.events import nats_server
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.projection import rows_of
from benchwire.events.settings import InvalidSettings
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import samples
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

AT = "2026-01-17T12:00:00"


def hook(session_id: str, number: int) -> dict[str, object]:
    block = {"type": "text", "text": f"{number}"}
    return {"event_type": "message", "session_id": session_id, "timestamp": AT, "role": "user", "content": [block]}


def count_of(events: list[dict[str, object]]) -> list[str]:
    return [event["content"][0]["text"] for event in events]  # type: ignore[index]


async def test_while_nats_is_gone_writes_say_503_and_reads_go_on_and_what_was_taken_is_never_lost(
    tmp_path: Path,
) -> None:
    store = tmp_path / "nats"
    async with nats_server.running(store) as first:
        nats_port = first.port
        settings = Settings(nats_url=first.url, data=tmp_path / "data", observability_port=0)
        service = running(lambda ready: observe(settings, on_ready=ready))
        port = await service.__aenter__()
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0)
        for number in range(10):
            (await client.post("/events", json=hook("s", number))).raise_for_status()
    try:
        refused = await client.post("/events", json=hook("s", 10), headers={"Idempotency-Key": "ten"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert set(refused.json()) == {"detail", "status_code"}
        health = await client.get("/health")
        assert (health.status_code, health.json()["nats"]) == (503, "gone")
        assert len((await client.get("/events/s")).json()["events"]) == 10
        async with nats_server.running(store, port=nats_port):

            async def healthy() -> bool:
                return (await client.get("/health")).status_code == 200

            await eventually(healthy)
            repeated = await client.post("/events", json=hook("s", 10), headers={"Idempotency-Key": "ten"})
            assert repeated.status_code == 200
            (await client.post("/events", json=hook("s", 11))).raise_for_status()
            events = (await client.get("/events/s")).json()["events"]
            assert count_of(events) == [str(number) for number in range(12)]
    finally:
        await client.aclose()
        await service.__aexit__(None, None, None)


WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/events", hook("s", 1)), ("POST", "/events", hook("new", 1)), ("POST", "/sessions/s/events", hook("s", 2)),
    ("POST", "/sessions", {"session_id": "a", "session_name": "A"}),
    ("POST", "/sessions", {"session_id": "b", "session_name": "B", "prompt": "p"}),
    ("PATCH", "/sessions/s/metadata", {"session_name": "S"}), ("POST", "/sessions/s/stop", {}), ("DELETE", "/sessions/s", {}),
    ("POST", "/sessions/s/fork", {}), ("POST", "/agents", {"name": "two"}), ("PATCH", "/agents/one", {"tags": ["t"]}),
    ("PATCH", "/agents/one/status", {"status": "inactive"}), ("DELETE", "/agents/one", {}),
    ("POST", "/tasks", {"prompt": "p", "board": "stm32f405"}),
]  # fmt: skip


async def test_while_nats_is_frozen_everything_answers_in_time_and_nothing_says_it_is_well(
    nats: nats_server.Server, client: httpx.AsyncClient
) -> None:
    (await client.post("/events", json=hook("s", 0))).raise_for_status()
    (await client.post("/agents", json={"name": "one"})).raise_for_status()

    async def unwell() -> Any:
        health = await client.get("/health")
        return health.json() if health.status_code == 503 else None

    nats.process.send_signal(signal.SIGSTOP)
    try:
        health = await eventually(unwell)
        assert health["nats"] == "gone"
        assert "NATS does not answer" in health["detail"]
        answers = await asyncio.gather(*(client.request(method, path, json=body) for method, path, body in WRITES))
        for (method, path, _), answer in zip(WRITES, answers, strict=True):
            assert answer.status_code == 503, (method, path, answer.text)
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.json()["detail"]
        for path in (
            "/sessions",
            "/sessions/s",
            "/events/s",
            "/agents",
            "/tasks",
            "/api/devices",
            "/api/hosts",
            "/usage",
        ):
            assert (await client.get(path)).status_code == 200, path
    finally:
        nats.process.send_signal(signal.SIGCONT)

    async def taken() -> bool:
        return (await client.post("/events", json=hook("s", 2))).status_code == 200

    await eventually(taken)


async def test_a_rebuilt_projection_has_the_rows_of_the_live_one(
    log: Log, nats: nats_server.Server, tmp_path: Path
) -> None:
    """One of every event there is, twice, so that conflicts with rows that are there are met too."""
    settings = Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    async with running(lambda ready: observe(settings, on_ready=ready)) as port:
        for event in [*samples(), *samples()]:
            if not _is_sample(event):
                await log.append(event)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client:
            await client.post("/events", json=hook("kept", 1))
            await client.post("/events", json=hook("gone", 1))
            await client.delete("/sessions/gone")
            health = (await client.get("/health")).json()
            assert health["warnings"] == []
    live = await asyncio.to_thread(rows_of, settings.projection_file)
    await asyncio.to_thread(settings.projection_file.unlink)
    async with running(lambda ready: observe(settings, on_ready=ready)):
        pass
    assert await asyncio.to_thread(rows_of, settings.projection_file) == live
    assert any(row[0] == "kept" for row in live["sessions"])


def _is_sample(event: Event) -> bool:
    return type(event).__module__.endswith(".live")


async def test_what_cannot_be_read_is_parked_and_health_says_so(bus: Bus, client: httpx.AsyncClient) -> None:
    await bus.js.publish("bench.session.x.started", b'{"event_type":"session_start"}')
    await bus.js.publish(
        "bench.session.x.started",
        b'{"event_type":"session_start","session_id":"x","timestamp":"9999-12-31T23:59:59-01:00"}',
    )
    await bus.js.publish("bench.novelty.x.happened", b'{"event_type":"novelty"}')
    await client.post("/events", json=hook("s", 1))
    health = await client.get("/health")
    assert health.status_code == 200
    assert len(health.json()["warnings"]) == 2
    assert health.json()["projection"]["malformed"] == 2


async def test_a_retry_after_a_lost_answer_lands_once(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        answer = await client.post("/events", json=hook("s", 1), headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200
    assert len((await client.get("/events/s")).json()["events"]) == 1


async def test_a_port_that_is_taken_is_named(settings: Settings, port: int) -> None:
    other = msgspec.structs.replace(settings, observability_port=port, data=settings.data / "other")
    with pytest.raises(BaseExceptionGroup) as raised:
        await observe(other)
    assert raised.group_contains(OSError, match=f"port {port} on 127.0.0.1 is taken")


async def test_nobody_but_this_machine_is_served_without_a_token(settings: Settings) -> None:
    with pytest.raises(InvalidSettings, match="no token is configured"):
        await observe(msgspec.structs.replace(settings, observability_host="0.0.0.0"))
