"""A log whose beginning is gone, by an age limit or by hand: what is in the rows is served, and what cannot be done is said."""

import json
from pathlib import Path

import httpx
import msgspec
from websockets.asyncio.client import connect

from benchwire.events.bus import STREAM, Bus
from benchwire.events.document import DocumentCreated
from benchwire.events.log import Log
from benchwire.events.session import MessageSent, SessionEnded, SessionStarted
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT, sample
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import refused, running

OLD = [
    SessionStarted(timestamp=AT, session_id="old", session_name="Old"),
    MessageSent(timestamp=AT, session_id="old", role="user", content=[{"type": "text", "text": "go"}]),
    SessionEnded(timestamp=AT, session_id="old"),
]


async def told(client: httpx.AsyncClient, sequence: int) -> None:
    async def shown() -> bool:
        return bool((await client.get("/health")).json()["projection"]["applied"] >= sequence)

    await eventually(shown)


async def test_a_session_that_is_older_than_the_log_can_be_read_but_not_gone_on_with(
    client: httpx.AsyncClient, log: Log, bus: Bus, port: int
) -> None:
    for event in OLD:
        await log.append(event)
    cut = await log.append(sample(DocumentCreated))
    await told(client, await log.append(SessionStarted(timestamp=AT, session_id="new")))
    assert (await client.get("/sessions/old/export")).status_code == 200
    await bus.js.purge_stream(STREAM, seq=cut)

    events = (await client.get("/sessions/old/events")).json()["events"]
    assert [one["event_type"] for one in events] == ["session_start", "message", "session_stop"]
    for answer in (
        await client.get("/sessions/old/export"),
        await client.post("/sessions/old/fork", json={"prompt": "and on"}),
        await client.post("/sessions/old/messages", json={"text": "and on"}),
    ):
        refused(answer, 410, "begins at event 1, and the log keeps only what is newer than event 3")
    assert (await client.get("/sessions/new/export")).status_code == 200
    for since, first in ((1, "init"), (cut, "session_created")):
        async with connect(f"ws://127.0.0.1:{port}/ws?since={since}") as socket:
            assert json.loads(await socket.recv())["type"] == first, since
    health = await client.get("/health")
    assert health.json()["warnings"] == [], "these rows were there before"


async def test_rows_that_lack_what_the_log_had_lost_are_served_and_that_is_said(
    settings: Settings, log: Log, bus: Bus, tmp_path: Path
) -> None:
    for event in OLD:
        await log.append(event)
    await bus.js.purge_stream(STREAM, seq=3)
    await log.append(SessionStarted(timestamp=AT, session_id="new", session_name="New"))
    elsewhere = msgspec.structs.replace(settings, data=tmp_path / "elsewhere")
    async with (
        running(lambda ready: observe(elsewhere, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
    ):
        answer = await client.get("/health")
        assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
        sentence = "events 1 to 2 are no longer in the log, and no snapshot reaches behind them: what they said is missing here"
        assert sentence in answer.json()["warnings"]
        assert "new" in [one["session_id"] for one in (await client.get("/sessions")).json()["sessions"]]
        assert "benchwire_observability_projection_lacking 1.0" in (await client.get("/metrics")).text
