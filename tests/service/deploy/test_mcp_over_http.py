"""`benchwire mcp --http` before a lab with tokens: nobody may do more through it than without it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from benchwire.deploy.mcp import over_http
from benchwire.deploy.settings import Settings
from benchwire.events import nats_server
from benchwire.events.settings import InvalidSettings, Secret
from benchwire.mcp.reach import Addresses
from benchwire.observability import settings as observability
from benchwire.observability.main import observe
from benchwire.web import tokens
from benchwire.web.testing import refused, running
from benchwire.web.tokens import Scope

NODE = {"node_id": "a", "board": "stm32f405", "description": "d"}
INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}  # fmt: skip
HEADERS = {"Accept": "application/json, text/event-stream"}


@pytest.fixture
async def writer(tmp_path: Path) -> str:
    """A token that may start tasks, and not cancel them."""
    return tokens.create(tmp_path / "data" / tokens.FILE_NAME, "writer", [Scope.WRITE], now=datetime.now(UTC))


@pytest.fixture
async def port(nats: nats_server.Server, tmp_path: Path, writer: str) -> AsyncIterator[int]:
    """Of the MCP server."""
    assert writer
    of_lab = observability.Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    here = Settings(data=tmp_path / "data", token=Secret(""))
    async with running(lambda ready: observe(of_lab, on_ready=ready)) as lab:
        where = Addresses(f"http://127.0.0.1:{lab}", "http://127.0.0.1:1")
        serving = running(lambda ready: over_http.served(lambda: where, here, host="127.0.0.1", port=0, on_ready=ready))
        async with serving as port:
            yield port


@asynccontextmanager
async def with_token(port: int, token: str) -> AsyncGenerator[Client, None]:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=20.0) as http:
        transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
        async with Client(transport) as client:
            yield client


async def test_a_caller_may_do_what_its_token_may_at_the_lab(port: int, writer: str) -> None:
    async with with_token(port, writer) as client:
        begun = await client.call_tool("start_firmware_task", {"prompt": "count", "nodes": [NODE]})
        assert isinstance(begun, CallToolResult)
        assert begun.structured_content is not None, begun.content
        task = {"task_id": begun.structured_content["task_id"]}
        looked = await client.call_tool("wait_for_task", {**task, "wait_s": 0})
        assert isinstance(looked, CallToolResult)
        assert not looked.is_error
        code = await client.call_tool("start_code_task", {"prompt": "a parser", "quality_target": 0.9})
        assert isinstance(code, CallToolResult)
        assert (code.structured_content or {})["kind"] == "code", code.content
        denied = await client.call_tool("cancel_task", task)
        assert isinstance(denied, CallToolResult)
        assert denied.is_error
        assert "it needs the scope control" in str(denied.content)


async def test_nobody_calls_without_a_token_that_is_known(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=HEADERS, trust_env=False) as caller:
        refused(await caller.post("/mcp", json=INITIALIZE), 401, "token is needed")
        wrong = {"Authorization": "Bearer bw_wrong"}
        refused(await caller.post("/mcp", json=INITIALIZE, headers=wrong), 401, "not known here")


async def test_a_name_that_was_made_to_lead_here_is_refused(port: int, writer: str) -> None:
    own = {**HEADERS, "Authorization": f"Bearer {writer}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=own, trust_env=False) as caller:
        assert (await caller.post("/mcp", json=INITIALIZE)).status_code == 200
        assert (await caller.post("/mcp", json=INITIALIZE, headers={"Host": "evil.example"})).status_code == 421
        foreign = {"Origin": "https://evil.example"}
        assert (await caller.post("/mcp", json=INITIALIZE, headers=foreign)).status_code == 403


async def test_only_loopback_is_served_while_no_token_is_configured(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="no token is configured"):
        await over_http.served(
            lambda: Addresses("", ""), Settings(data=tmp_path, token=Secret("")), host="0.0.0.0", port=0
        )
