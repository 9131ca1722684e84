"""What clients of the Agent Manager rely on: each row of the contract, the shape of errors, and what asking for an agent comes to."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from benchwire.events.log import Log
from benchwire.web.testing import refused

AGENT = {
    "name", "description", "system_prompt", "mcp_servers", "skills", "tags", "status", "created_at", "modified_at",
    "model", "tools", "ask_before", "ask_expires_s", "budget",
}  # fmt: skip
FULL: dict[str, Any] = {
    "name": "fixer-2",
    "description": "Fixes things",
    "system_prompt": "You fix.",
    "mcp_servers": {
        "files": {"command": "server", "args": ["--root", "/"], "env": {"TOKEN": "${TOKEN}"}},
        "web": {"type": "http", "url": "https://example.com/mcp", "headers": {"Authorization": "Bearer ${WEB}"}},
    },
    "skills": ["welding"],
    "tags": ["hardware", "esp32"],
    "status": "active",
    "model": "a-model",
    "tools": ["bash", "mcp__files__read"],
    "ask_before": ["bash"],
    "ask_expires_s": 60.0,
    "budget": {"max_tokens": 1000, "max_usd": 1.5, "max_wall_s": None},
}


async def test_an_agent_is_created_and_shown_as_it_was_given(client: httpx.AsyncClient) -> None:
    answer = await client.post("/agents", json=FULL)
    assert answer.status_code == 201
    made = answer.json()
    assert set(made) == AGENT
    assert {**made, "created_at": "", "modified_at": ""} == {**FULL, "created_at": "", "modified_at": ""}
    assert made["created_at"].endswith("Z")
    assert (await client.get("/agents/fixer-2")).json() == made
    small = (await client.post("/agents", json={"name": "small"})).json()
    assert {key: small[key] for key in AGENT - {"created_at", "modified_at"}} == {
        "name": "small", "description": "", "system_prompt": None, "mcp_servers": None, "skills": None, "tags": [], "status": "active",
        "model": None, "tools": None, "ask_before": [], "ask_expires_s": 300.0, "budget": None,
    }  # fmt: skip


async def test_agents_are_a_bare_list_and_found_by_all_of_their_tags(client: httpx.AsyncClient) -> None:
    assert (await client.get("/agents")).json() == []
    for name, tags in (("b", ["x", "y"]), ("a", ["y", "z"]), ("c", [])):
        assert (await client.post("/agents", json={"name": name, "tags": tags})).status_code == 201

    async def names(query: str) -> list[str]:
        return [one["name"] for one in (await client.get(f"/agents{query}")).json()]

    assert await names("") == ["a", "b", "c"]
    assert await names("?tags=y") == ["a", "b"]
    assert await names("?tags=y,x") == ["b"]
    assert await names("?tags=x,z") == []
    assert await names("?tags=") == ["a", "b", "c"]


async def test_of_many_who_create_one_name_exactly_one_does(client: httpx.AsyncClient, log: Log) -> None:
    answers = await asyncio.gather(
        *(client.post("/agents", json={"name": "one", "description": f"{number}"}) for number in range(12))
    )
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 11]
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    assert (await client.get("/agents/one")).json() == winner
    assert len([one async for one in log.read(["bench.blueprint.>"])]) == 1
    refused(await client.post("/agents", json={"name": "one"}), 409, "one")


async def test_a_change_keeps_the_rest_and_null_clears(client: httpx.AsyncClient) -> None:
    made = (await client.post("/agents", json=FULL)).json()
    answer = await client.patch("/agents/fixer-2", json={"description": "new", "mcp_servers": None})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed == {**made, "description": "new", "mcp_servers": None, "modified_at": changed["modified_at"]}
    assert changed["modified_at"] > made["modified_at"]
    assert (await client.patch("/agents/fixer-2", json={})).json() == changed
    assert (await client.patch("/agents/fixer-2", json=changed)).json() == changed
    assert (await client.get("/agents/fixer-2")).json() == changed


async def test_changes_that_meet_are_all_there_in_the_end(client: httpx.AsyncClient) -> None:
    await client.post("/agents", json={"name": "one"})
    fields: list[dict[str, Any]] = [
        {"description": "d"}, {"system_prompt": "s"}, {"skills": ["k"]}, {"tags": ["t"]}, {"status": "inactive"}
    ]  # fmt: skip
    answers = await asyncio.gather(*(client.patch("/agents/one", json=one) for one in fields))
    assert {answer.status_code for answer in answers} == {200}
    after = (await client.get("/agents/one")).json()
    for given in fields:
        assert after.items() >= given.items()


async def test_the_status_has_a_path_of_its_own(client: httpx.AsyncClient) -> None:
    await client.post("/agents", json={"name": "one"})
    answer = await client.patch("/agents/one/status", json={"status": "inactive"})
    assert (answer.status_code, answer.json()["status"]) == (200, "inactive")
    refused(await client.patch("/agents/one/status", json={"status": "asleep"}), 400, "status")
    refused(await client.patch("/agents/two/status", json={"status": "active"}), 404, "two")


async def test_a_deleted_agent_is_gone_and_its_name_is_free(client: httpx.AsyncClient) -> None:
    made = (await client.post("/agents", json=FULL)).json()
    answer = await client.delete("/agents/fixer-2")
    assert (answer.status_code, answer.content) == (204, b"")
    refused(await client.get("/agents/fixer-2"), 404, "fixer-2")
    refused(await client.delete("/agents/fixer-2"), 404)
    refused(await client.patch("/agents/fixer-2", json={"tags": []}), 404)
    again = (await client.post("/agents", json={"name": "fixer-2"})).json()
    assert again["created_at"] > made["created_at"]
    assert again["system_prompt"] is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "name"),
        ({"name": "Upper"}, "name"),
        ({"name": "a.b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a", "tags": "t"}, "tags"),
        ({"name": "a", "tags": ["a,b"]}, "tags"),
        ({"name": "a", "status": "asleep"}, "status"),
        ({"name": "a", "description": None}, "description"),
        ({"name": "a", "system_prompt": 3}, "system_prompt"),
        ({"name": "a", "system_prompt": "x" * 200_001}, "system_prompt"),
        ({"name": "a", "skills": [""]}, "skills"),
        ({"name": "a", "mcp_servers": []}, "mcp_servers"),
        ({"name": "a", "mcp_servers": {"s": {"url": "https://h"}}}, "mcp_servers.s"),
        ({"name": "a", "mcp_servers": {"s": {"command": "x", "env": {"KEY": "abc"}}}}, "${NAME}"),
        ("text", "object"),
    ],
)
async def test_what_cannot_be_an_agent_is_refused_by_its_field(
    outside_observability: str, body: Any, words: str
) -> None:
    async with httpx.AsyncClient(base_url=outside_observability, timeout=20.0, trust_env=False) as client:
        refused(await client.post("/agents", json=body), 400, words)
        if isinstance(body, dict) and "name" in body and body["name"] == "a":
            await client.post("/agents", json={"name": "a"})
            refused(await client.patch("/agents/a", json=body), 400, words)


async def test_no_secret_of_a_refused_agent_is_in_the_log(client: httpx.AsyncClient, log: Log) -> None:
    body = {
        "name": "a",
        "mcp_servers": {"s": {"type": "http", "url": "https://h", "headers": {"Authorization": "Bearer abc"}}},
    }
    refused(await client.post("/agents", json=body), 400, "mcp_servers.s.headers.Authorization")
    assert [one async for one in log.read(["bench.>"])] == []


async def test_names_from_the_path_are_no_fault_of_the_service(client: httpx.AsyncClient) -> None:
    for name in ("%20", "a.b", "*", ">", "%00", "%FF", "x" * 200, "A", "%F0%9F%98%80"):
        for method, path, body in (
            ("GET", "/agents/{}", None), ("DELETE", "/agents/{}", None), ("PATCH", "/agents/{}", {"tags": []}),
            ("PATCH", "/agents/{}/status", {"status": "active"}),
        ):  # fmt: skip
            answer = await client.request(method, path.format(name), json=body)
            assert 400 <= answer.status_code < 500, (method, name, answer.text)


async def test_agents_are_told_on_the_socket_as_facts(client: httpx.AsyncClient) -> None:
    async with connect(f"ws://127.0.0.1:{client.base_url.port}/ws") as socket:
        assert json.loads(await socket.recv())["type"] == "init"
        await client.post("/agents", json={"name": "one"})
        await client.patch("/agents/one", json={"tags": ["t"]})
        await client.delete("/agents/one")
        frames = [json.loads(await socket.recv()) for _ in range(3)]
    assert [(frame["type"], frame["data"]["event_type"]) for frame in frames] == [
        ("fact", "blueprint_created"), ("fact", "blueprint_updated"), ("fact", "blueprint_deleted")
    ]  # fmt: skip


async def test_a_run_can_be_asked_of_an_agent_that_is_there_and_active(client: httpx.AsyncClient) -> None:
    asked = {"session_id": "s", "session_name": "S", "prompt": "do it", "agent_name": "one"}
    refused(await client.post("/sessions", json=asked), 400, "agent_name", "one", "GET /agents")
    await client.post("/agents", json={"name": "one", "status": "inactive"})
    refused(await client.post("/sessions", json=asked), 400, "agent_name", "inactive")
    assert (await client.get("/sessions/s")).status_code == 404
    await client.patch("/agents/one/status", json={"status": "active"})
    assert (await client.post("/sessions", json=asked)).json()["session"]["agent_name"] == "one"


async def test_a_session_that_nobody_here_runs_may_say_any_agent(client: httpx.AsyncClient) -> None:
    """Outside clients call their agents what they like."""
    asked = {"session_id": "s", "session_name": "S", "agent_name": "Some Agent (v2)"}
    assert (await client.post("/sessions", json=asked)).json()["session"]["agent_name"] == "Some Agent (v2)"
