"""What all clients rely on: health, who may call, and that no body is a fault of the service."""

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchwire.web.testing import refused

NAIVE = "2026-01-17T12:00:00"


async def test_health_and_the_list_of_what_there_is(client: httpx.AsyncClient) -> None:
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "healthy")
    assert "POST   /events" in (await client.get("/")).text
    assert (await client.get("/schema/openapi.json")).json()["info"]["title"] == "Benchwire observability"


async def test_a_dashboard_may_call_from_its_origin_and_other_pages_may_not(client: httpx.AsyncClient) -> None:
    dashboard = {"Origin": "http://localhost:5173"}
    assert (await client.get("/sessions", headers=dashboard)).headers["access-control-allow-origin"] == dashboard[
        "Origin"
    ]
    started = {"event_type": "session_start", "session_id": "s1", "session_name": "One", "timestamp": NAIVE}
    asked = {**dashboard, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert (await client.options("/events", headers=asked)).status_code == 204
    refused(await client.post("/events", json=started, headers={"Origin": "http://evil.example"}), 403)
    refused(await client.get("/sessions", headers={"Host": "evil.example"}), 403)


BODIES = [
    "/events", "/sessions", "/tasks", "/api/flash/start", "/sessions/s1/events", "/tasks/task-1/intervene", "/agents", "/sessions/import",
    "/sessions/s1/fork",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["event_type", "session_id", "session_name", "timestamp", "role", "content", "tool_name", "prompt", "board", "nodes", "kind", "guidance",
     "device_id", "artifact_id", "address", "max_iterations", "max_turns", "answers", "node_id", "name", "tags", "mcp_servers", "skills",
     "system_prompt", "at", "format", "version", "session", "id", "event"]
)  # fmt: skip
VALUES = JSON | st.sampled_from(
    ["session_start", "message", "s1", NAIVE, "9999-12-31T23:59:59-01:00", "stm32f405", "firmware", "user", [{"node_id": "a", "board": "stm32f405"}]]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(BODIES), body=st.binary(max_size=40) | st.dictionaries(WORDS, VALUES, max_size=6))
def test_no_body_is_a_fault_of_the_service(served: httpx.Client, path: str, body: bytes | dict[str, Any]) -> None:
    if isinstance(body, bytes):
        answer = served.post(path, content=body)
    else:
        answer = served.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, answer.text
