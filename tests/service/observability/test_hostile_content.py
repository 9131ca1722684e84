"""What clients send as content: secrets that must not get into the log, and bodies that are made to break whoever reads them."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchwire.events.log import Log
from benchwire.events.session import MessageSent
from benchwire.events.settings import load
from benchwire.observability.settings import Settings

# In two halves, so that nobody takes this file for a leak.
KEY = "sk-" + "ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz012345-_67"
TOKEN = "gh" + "p_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
OWN = "correct-horse-battery"
NAIVE = "2026-01-17T12:00:00"


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a secret in the environment that has no form."""
    monkeypatch.setenv("LAB_PASSWORD", OWN)
    return settings


def hook(event_type: str, session_id: str = "s1", **more: Any) -> dict[str, Any]:
    return {"event_type": event_type, "session_id": session_id, "timestamp": NAIVE, **more}


def returned(text: Any, session_id: str = "s1") -> dict[str, Any]:
    return hook("post_tool", session_id, tool_name="bash", tool_input={"command": f"echo {TOKEN}"}, tool_output=text)


async def everything(log: Log) -> bytes:
    """All bodies that are in the log."""
    state = (await log.bus.js.stream_info("BENCH")).state
    bodies = [(await log.bus.js.get_msg("BENCH", seq)).data or b"" for seq in range(1, state.last_seq + 1)]
    return b"\n".join(bodies)


async def test_no_way_in_brings_a_secret_into_the_log(client: httpx.AsyncClient, log: Log) -> None:
    said = f"{KEY} {OWN}"
    assert (await client.post("/events", json=returned(said))).status_code == 200
    lines = "\n".join(json.dumps(returned(f"line {number} {said}", "s2")) for number in range(3))
    ndjson = {"content-type": "application/x-ndjson", "idempotency-key": "once"}
    for _ in range(2):  # the second time it is there already
        answer = await client.post("/events", content=lines, headers=ndjson)
        assert answer.json()["accepted"] == 3
    assert (await client.post("/events", json=[returned(said, "s3"), returned(said, "s3")])).status_code == 200
    assert (
        await client.post("/sessions", json={"session_id": "asked", "session_name": "asked", "prompt": f"use {said}"})
    ).status_code == 200
    bodies = await everything(log)
    assert bodies.count(b"[redacted: anthropic key]") == bodies.count(b"[redacted: own secret]") == 7
    assert bodies.count(b"[redacted: github token]") == 6
    assert not any(one.encode() in bodies for one in (KEY, OWN, TOKEN))
    assert b'"line 2 [redacted: anthropic key]' in bodies
    assert len((await client.get("/events/s2")).json()["events"]) == 3
    metrics = (await client.get("/metrics")).text
    counted = {
        line.split('"')[1]: float(line.rsplit(" ", 1)[1])
        for line in metrics.splitlines()
        if line.startswith("benchwire_observability_redactions_total{")
    }
    assert counted["own secret"] >= 7
    assert counted["github token"] >= 6


async def test_an_old_export_is_imported_without_its_secrets_and_exports_again_as_the_same_bytes(
    client: httpx.AsyncClient, log: Log
) -> None:
    for number in range(3):
        assert (await client.post("/events", json=returned(f"{number}: it is XXXX", "old"))).status_code == 200
    file = (await client.get("/sessions/old/export")).content.replace(b"XXXX", KEY.encode())
    for _ in range(2):
        answer = await client.post("/sessions/import", content=file, params={"session_id": "new"})
        assert answer.status_code == 200, answer.text
    assert len((await client.get("/events/new")).json()["events"]) == 4  # its end, too: nobody runs it here
    assert KEY.encode() not in await everything(log)
    first = (await client.get("/sessions/new/export")).content
    answer = await client.post("/sessions/import", content=first, params={"prefix": "again-"})
    assert answer.status_code == 200
    second = (await client.get("/sessions/again-new/export")).content

    def events(export: bytes) -> list[dict[str, Any]]:
        told = [json.loads(line)["event"] for line in export.splitlines()[1:]]
        return [{**one, "session_id": ""} for one in told]

    assert events(first) == events(second)


async def test_what_only_the_endpoint_reads_comes_back_as_it_was(client: httpx.AsyncClient, log: Log) -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "EqQB" + "AIza" + "A1b2" * 9 + "+/=="},
        {"type": "redacted_thinking", "data": "AKIA" + "ABCDEFGHIJKLMNOP" + "/+=="},
        {"type": "text", "text": KEY},
    ]
    assert (await client.post("/events", json=hook("message", role="assistant", content=content))).status_code == 200
    async for one in log.read(["bench.session.s1.*"]):
        if isinstance(one.event, MessageSent):
            assert one.event.content == [*content[:2], {"type": "text", "text": "[redacted: anthropic key]"}]


async def test_sources_with_a_secret_are_refused_before_they_are_built_without_it(
    client: httpx.AsyncClient, log: Log
) -> None:
    node = {"node_id": "n", "board": "stm32f405", "sources": {"main.c": f'const char *key = "{KEY}";'}}
    answer = await client.post("/tasks", json={"kind": "firmware", "nodes": [node]})
    assert answer.status_code == 400, answer.text
    assert "nodes[0].sources: main.c holds what looks like a key" in answer.json()["detail"]
    assert KEY not in answer.text
    assert await everything(log) == b""


@pytest.mark.parametrize(
    "shows", [{"expect": KEY}, {"assertions": [{"name": "a", "type": "serial_output", "pattern": f"key={KEY}"}]}]
)
async def test_what_a_board_has_to_print_is_no_secret(
    client: httpx.AsyncClient, log: Log, shows: dict[str, Any]
) -> None:
    """The log would have a hole in it, which nothing that is printed fits."""
    node = {"node_id": "n", "board": "stm32f405", "sources": {"main.c": "int main(void) { return 0; }"}, **shows}
    answer = await client.post("/tasks", json={"kind": "firmware", "nodes": [node]})
    assert answer.status_code == 400, answer.text
    assert "nodes[0]: what it has to print looks like a key" in answer.json()["detail"]
    assert KEY not in answer.text
    assert await everything(log) == b""


async def test_an_agent_is_kept_whole_or_not_at_all(client: httpx.AsyncClient, log: Log) -> None:
    servers = {"db": {"command": "server", "args": ["postgres://bob:tr0ub4dor@db.lab/bench"]}}
    assert (await client.post("/agents", json={"name": "fixer"})).status_code == 201
    for answer in (
        await client.post("/agents", json={"name": "other", "mcp_servers": servers}),
        await client.patch("/agents/fixer", json={"mcp_servers": servers}),
    ):
        assert answer.status_code == 400, answer.text
        assert "write ${NAME} in its place" in answer.json()["detail"]
    assert (await everything(log)).count(b"\n") == 0, "only the first is there"


DEEP = "[" * 100_000 + "]" * 100_000
BODIES = {
    "deep list": f'{{"event_type":"post_tool","session_id":"s","timestamp":"{NAIVE}","tool_name":"x","tool_output":{DEEP}}}',
    "deep object": f'{{"event_type":"post_tool","session_id":"s","timestamp":"{NAIVE}","tool_name":"x","tool_output":'
    + '{"a":' * 50_000 + "1" + "}" * 50_001,
    "only deep": DEEP,
    "unclosed": "[" * 200_000,
    "infinite": f'{{"event_type":"post_tool","session_id":"s","timestamp":"{NAIVE}","tool_name":"x","tool_output":1e999}}',
    "many digits": f'{{"event_type":"post_tool","session_id":"s","timestamp":"{NAIVE}","tool_name":"x","tool_output":{"9" * 5000}}}',
    "half a character": f'{{"event_type":"post_tool","session_id":"s","timestamp":"{NAIVE}","tool_name":"\\ud800","tool_output":"\\udfff"}}',
    "zeros": f'{{"event_type":"post_tool","session_id":"s","timestamp":"{NAIVE}","tool_name":"a\\u0000b","tool_output":"\\u0000"}}',
    "a time beyond": '{"event_type":"session_stop","session_id":"s","timestamp":"9999-12-31T23:59:59-23:59"}',
    "an id with a zero": f'{{"event_type":"session_stop","session_id":"s\\u0000","timestamp":"{NAIVE}"}}',
    "an id that is half": f'{{"event_type":"session_stop","session_id":"\\ud800","timestamp":"{NAIVE}"}}',
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
async def test_no_body_breaks_the_service(client: httpx.AsyncClient, name: str) -> None:
    body = BODIES[name].encode()
    json_type = {"content-type": "application/json"}
    ways: list[tuple[str, bytes, dict[str, str]]] = [
        ("/events", body, json_type),
        ("/events", body + b"\n", {"content-type": "application/x-ndjson"}),
        ("/sessions/s/events", body, json_type),
        ("/sessions/import", body + b"\n", {}),
        ("/agents", b'{"name":"a","mcp_servers":{"x":' + body + b"}}", json_type),
        ("/tasks", b'{"kind":"firmware","prompt":"x","nodes":' + body + b"}", json_type),
        ("/sessions", b'{"prompt":' + body + b"}", json_type),
        ("/api/flash/start", body, json_type),
    ]
    for path, sent, headers in ways:
        answer = await client.post(path, content=sent, headers=headers)
        assert answer.status_code < 500, (path, answer.text[:300])
        if answer.status_code >= 400:
            assert isinstance(answer.json()["detail"], str)
            assert len(answer.text) < 20_000
    after = await client.post("/events", json=returned("well", "after"))
    assert after.status_code == 200
    events = (await client.get("/events/after")).json()["events"]
    assert events[0]["tool_output"] == "well"
    health = (await client.get("/health")).json()
    assert health["status"] in ("ok", "healthy"), health


async def test_control_characters_in_names_are_kept_as_json_and_found_again(client: httpx.AsyncClient) -> None:
    evil = "a\x1b]0;t\x07\x00\u202e'; DROP TABLE sessions; --"
    assert (await client.post("/events", json=hook("session_start", session_name=evil))).status_code == 200
    session = (await client.get("/sessions/s1")).json()["session"]
    assert session["session_name"] == evil


def test_the_settings_come_from_the_environment(tmp_path: Path) -> None:
    made = load(Settings, {"BENCHWIRE_REDACT_OFF": "jwt,google key", "BENCHWIRE_REDACT_PATTERNS": str(tmp_path)})
    assert (made.redact_off, made.redact_patterns) == (("jwt", "google key"), tmp_path)
