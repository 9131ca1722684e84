"""What becomes of a call of the MCP server that waits, when its client leaves, or the lab restarts."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.types import CallToolResult

from benchwire.deploy.mcp import over_http
from benchwire.deploy.settings import Settings
from benchwire.events.settings import Secret
from benchwire.events.testing.eventually import eventually
from benchwire.mcp.reach import Addresses
from benchwire.web.testing import running

WAITING = {"lease": {"lease_id": "lease_1", "holder": "me", "state": "waiting", "place": 2}}
HELD = {"lease": {**WAITING["lease"], "state": "held", "device_id": "b", "host": "h"}}
AWAY: tuple[int, dict[str, Any]] = (503, {"detail": "the rows are not there yet", "status_code": 503})
LEASE: dict[str, Any] = {"name": "lease_device", "arguments": {"holder": "me", "profile": "stm32f405", "wait_s": 300}}
HEADERS = {"Accept": "application/json, text/event-stream"}

Said = tuple[int, dict[str, Any]]


class ALab:
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.say: Callable[[str], Said] = lambda _: AWAY


@pytest.fixture
def lab() -> ALab:
    return ALab()


@pytest.fixture
def of_lab(lab: ALab) -> Iterator[str]:
    class Call(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            call = f"{self.command} {self.path.partition('?')[0]}"
            lab.calls.append(call)
            status, told = lab.say(call)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - names of the library

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Call) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
async def url(of_lab: str, tmp_path: Path) -> AsyncIterator[str]:
    """Of the MCP server."""
    here = Settings(data=tmp_path, token=Secret(""))
    where = Addresses(of_lab, "")
    serving = running(lambda ready: over_http.served(lambda: where, here, host="127.0.0.1", port=0, on_ready=ready))
    async with serving as port:
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.mark.parametrize("version", ["2025-06-18", None])
async def test_a_client_that_leaves_does_not_stay_in_the_queue_for_a_board(
    lab: ALab, url: str, version: str | None
) -> None:
    lab.say = lambda _: (200, WAITING)

    async def ask() -> None:
        if version is None:
            async with Client(url) as client:
                await client.call_tool(LEASE["name"], LEASE["arguments"])
        else:
            asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": LEASE}
            async with httpx.AsyncClient(trust_env=False, timeout=60.0) as caller:
                await caller.post(url, json=asked, headers={**HEADERS, "MCP-Protocol-Version": version})

    asking = asyncio.ensure_future(ask())
    await eventually(lambda: "GET /api/leases/lease_1" in lab.calls, what="it waits")
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await eventually(lambda: "DELETE /api/leases/lease_1" in lab.calls, what="its place is given back")


async def test_who_waits_goes_on_waiting_when_the_lab_restarts(lab: ALab, url: str) -> None:
    told: list[Said] = [(200, WAITING), (200, WAITING), AWAY, (200, HELD)]
    lab.say = lambda _: told.pop(0)
    async with Client(url) as client:
        lease = await client.call_tool(LEASE["name"], LEASE["arguments"])
        assert isinstance(lease, CallToolResult)
        assert (lease.structured_content or {})["device_id"] == "b", lease.content
        assert told == []


async def test_no_board_in_time_is_told_and_the_queue_is_left(lab: ALab, url: str) -> None:
    lab.say = lambda _: (200, WAITING)
    async with Client(url) as client:
        lease = await client.call_tool(LEASE["name"], {**LEASE["arguments"], "wait_s": 0})
        assert isinstance(lease, CallToolResult)
        assert lease.is_error
        assert "came free within 0 s" in str(lease.content)
    assert lab.calls[-1] == "DELETE /api/leases/lease_1"


async def test_the_documents_of_another_lab_are_not_taken_for_those_of_this_one(url: str) -> None:
    async with Client(url) as client:
        found = await client.call_tool("search_documents", {"query": "a"})
        assert isinstance(found, CallToolResult)
        assert "--documents-url" in str(found.content)
