"""What becomes of documents: changed, kept for a time, deleted."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.testing.eventually import eventually
from benchwire.web.testing import refused

Upload = Callable[..., Awaitable[dict[str, Any]]]


async def test_only_what_is_given_changes(client: httpx.AsyncClient, upload: Upload) -> None:
    made = await upload(client, tags="a", metadata='{"description":"old","k":"v"}')
    path = f"/documents/{made['id']}"
    described = (await client.patch(path, json={"description": "new"})).json()
    assert described["description"] == "new"
    assert described["metadata"] == {"description": "new", "k": "v"}
    assert described["tags"] == ["a"]
    assert described["updated_at"] > made["updated_at"]
    assert described["created_at"] == made["created_at"]
    assert set(described) == set(made)
    tagged = (await client.patch(path, json={"tags": ["b", "c"]})).json()
    assert tagged["tags"] == ["b", "c"]
    assert tagged["metadata"] == described["metadata"]
    other = (await client.patch(path, json={"metadata": {"only": "this"}})).json()
    assert other["metadata"] == {"only": "this", "description": "new"}
    assert (await client.patch(path, json={})).json() == other
    assert (await client.get(f"{path}/metadata")).json() == other
    assert "'no!'" in refused(await client.patch(path, json={"tags": ["no!"]}), 400)
    refused(await client.patch(path, json={"metadata": {"n": 1}}), 400)
    refused(await client.patch(path, json={"tags": "a"}), 400)
    refused(await client.patch(path, content=b"{nope", headers={"content-type": "application/json"}), 400)
    refused(await client.patch("/documents/doc_0", json={"tags": ["x"]}), 404)
    assert (await client.get(f"{path}/metadata")).json() == other


async def test_a_deleted_document_is_gone(client: httpx.AsyncClient, upload: Upload) -> None:
    made = await upload(client)
    path = f"/documents/{made['id']}"
    answer = await client.delete(path)
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["document_id"] == made["id"]
    assert answer.json()["message"]
    for call in (client.get(path), client.get(f"{path}/metadata"), client.delete(path), client.patch(path, json={})):
        assert made["id"] in refused(await call, 404)
    assert (await client.get("/documents")).json() == []


async def test_bytes_go_with_the_last_document_that_has_them(
    client: httpx.AsyncClient, bus: Bus, upload: Upload
) -> None:
    data = b"z" * 400_000
    digest = hashlib.sha256(data).hexdigest()
    made = await asyncio.gather(*(upload(client, f"{n}.bin", data) for n in range(4)))
    state = (await bus.js.stream_info("OBJ_artifacts")).state
    assert state.bytes < 2 * len(data)
    for one in made[1:]:
        await client.delete(f"/documents/{one['id']}")
    assert (await client.get(f"/documents/{made[0]['id']}")).content == data
    await client.delete(f"/documents/{made[0]['id']}")
    assert not await Blobs(bus).has(digest)
    assert (await bus.js.stream_info("OBJ_artifacts")).state.bytes < 10_000
    assert digest in refused(await client.get(f"/artifacts/{digest}"), 404)
    again = await upload(client, data=data)
    assert (await client.get(f"/documents/{again['id']}")).content == data


async def test_ids_that_cannot_be_are_refused_clearly(client: httpx.AsyncClient) -> None:
    for name in ("doc_x", "a.b", "*", "%3E", "ü", "x" * 500):
        for call in (client.get(f"/documents/{name}"), client.get(f"/documents/{name}/metadata")):
            refused(await call, 404)
        for change in (client.delete(f"/documents/{name}"), client.patch(f"/documents/{name}", json={"tags": []})):
            answer = await change
            assert answer.status_code in (400, 404)
            assert answer.json()["detail"]
    refused(await client.get("/nothing/here"), 404)


async def test_a_change_can_be_made_only_if_nobody_else_made_one(client: httpx.AsyncClient) -> None:
    made = await client.post("/documents", files={"file": ("a.txt", b"hello")})
    path = f"/documents/{made.json()['id']}"
    first = made.headers["etag"]
    assert (await client.get(f"{path}/metadata")).headers["etag"] == first

    def patch(tag: str, if_match: str) -> Any:
        return client.patch(path, json={"tags": [tag]}, headers={"if-match": if_match})

    answers = await asyncio.gather(*(patch(f"t{number}", first) for number in range(4)))
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412]
    second = next(one.headers["etag"] for one in answers if one.status_code == 200)
    assert second != first
    assert "If-Match" in refused(await client.delete(path, headers={"if-match": first}), 412)
    assert (await patch("a", f'"other", {second}')).status_code == 200
    assert (await patch("b", "*")).status_code == 200
    content = (await client.get(path)).headers["etag"]
    refused(await patch("c", f"W/{content}"), 412)
    assert (await client.delete(path, headers={"if-match": content})).status_code == 200
    refused(await client.delete(path, headers={"if-match": "*"}), 404)


async def test_a_document_is_kept_as_long_as_is_said(client: httpx.AsyncClient, upload: Upload) -> None:
    long = await upload(client, "long.txt", expires_at="2999-01-01T00:00:00+01:00")
    assert long["expires_at"] == "2998-12-31T23:00:00Z"
    changed = await upload(client, "changed.txt", expires_at="2999-01-01T00:00:00Z")
    kept = await client.patch(f"/documents/{changed['id']}", json={"expires_at": None})
    assert kept.json()["expires_at"] is None
    soon = datetime.now(UTC) + timedelta(seconds=3)
    short = await upload(client, "short.txt", expires_at=soon.isoformat())
    assert datetime.fromisoformat(short["expires_at"]) == soon
    for wrong in ("yesterday", "2001-01-01T00:00:00Z"):
        file = {"file": ("a", b"a")}
        assert "expires_at" in refused(await client.post("/documents", files=file, data={"expires_at": wrong}), 400)
        assert refused(await client.patch(f"/documents/{long['id']}", json={"expires_at": wrong}), 400)

    async def gone() -> bool:
        return (await client.get(f"/documents/{short['id']}")).status_code == 404

    await eventually(gone, what="the document whose time is over goes")
    assert {one["filename"] for one in (await client.get("/documents")).json()} == {"long.txt", "changed.txt"}
