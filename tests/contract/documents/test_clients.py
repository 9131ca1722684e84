"""What all clients count on: health, headers, tokens, and what the socket tells."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server

Upload = Callable[..., Awaitable[dict[str, Any]]]


async def test_health(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "healthy"
    assert answer.json()["service"] == "documents"


async def test_a_dashboard_may_read_the_headers_it_needs(client: httpx.AsyncClient) -> None:
    answer = await client.get("/documents", headers={"origin": "http://localhost:5173"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    exposed = answer.headers["access-control-expose-headers"].lower()
    for name in ("x-total-count", "x-total-chars", "x-char-range", "etag", "content-range", "content-disposition"):
        assert name in exposed


async def test_with_a_token_every_call_needs_it(nats: nats_server.Server, tmp_path: Path) -> None:
    async with serving(nats.url, tmp_path / "data", token="secret") as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
            assert (await client.get("/documents")).status_code == 401
            assert (await client.post("/documents", files={"file": ("a", b"x")})).status_code == 401
            known = {"authorization": "Bearer secret"}
            assert (await client.get("/documents", headers=known)).status_code == 200
        async with websockets.connect(service.url.replace("http", "ws") + "/ws", proxy=None) as socket:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_frames_tell_what_happened_once_it_can_be_fetched(
    client: httpx.AsyncClient, service: Service, upload: Upload
) -> None:
    async with websockets.connect(service.url.replace("http", "ws") + "/ws", proxy=None) as socket:
        await socket.send('{"type":"ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}
        made = await upload(client, tags="a")
        created = json.loads(await socket.recv())
        changed = (await client.patch(f"/documents/{made['id']}", json={"description": "d"})).json()
        updated = json.loads(await socket.recv())
        await client.delete(f"/documents/{made['id']}")
        deleted = json.loads(await socket.recv())
    assert (created["type"], created["document"]) == ("document_created", made)
    assert (updated["type"], updated["document"]) == ("document_updated", changed)
    assert (deleted["type"], deleted["document_id"]) == ("document_deleted", made["id"])
    assert created["seq"] < updated["seq"] < deleted["seq"]


async def test_who_was_away_is_told_what_he_missed(client: httpx.AsyncClient, service: Service, upload: Upload) -> None:
    ws = service.url.replace("http", "ws") + "/ws"
    async with websockets.connect(ws, proxy=None) as socket:
        first = await upload(client)
        seen = json.loads(await socket.recv())
    second = await upload(client, "b.txt", b"b")
    changed = (
        await client.post(f"/documents/{first['id']}/links", json={"kind": "part_of", "to": second["id"]})
    ).json()
    async with websockets.connect(f"{ws}?since={seen['seq']}", proxy=None) as socket:
        third = await upload(client, "c.txt", b"c")
        frames = [json.loads(await socket.recv()) for _ in range(3)]
    assert [one["type"] for one in frames] == ["document_created", "document_updated", "document_created"]
    assert [one["document"]["id"] for one in frames] == [second["id"], first["id"], third["id"]]
    assert frames[1]["document"] == changed
    async with websockets.connect(f"{ws}?since=nonsense", proxy=None) as socket:
        await socket.send('{"type":"ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}


async def test_who_asks_for_batches_is_told_the_same_in_arrays(
    client: httpx.AsyncClient, service: Service, upload: Upload
) -> None:
    ws = service.url.replace("http", "ws") + "/ws"
    async with websockets.connect(ws, proxy=None) as single, websockets.connect(f"{ws}?batch=1", proxy=None) as many:
        await many.send('{"type":"ping"}')
        assert json.loads(await many.recv()) == [{"type": "pong"}]
        for number in range(3):
            await upload(client, f"{number}.txt", str(number).encode())
        expected = [json.loads(await single.recv()) for _ in range(3)]
        told: list[Any] = []
        while len(told) < 3:
            told += json.loads(await many.recv())
        assert told == expected
    async with websockets.connect(f"{ws}?batch=1&since={expected[0]['seq']}", proxy=None) as again:
        missed: list[Any] = []
        while len(missed) < 2:
            missed += json.loads(await again.recv())
        assert missed == expected[1:]
