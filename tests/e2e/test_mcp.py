"""An agent from outside, with a stock MCP client, in a lab that runs: what it can do, and what it is told when it cannot."""

import base64
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import BlobResourceContents, CallToolResult, TextContent, TextResourceContents

from benchwire.events import child
from benchwire.events.testing.eventually import eventually

pytestmark = pytest.mark.timeout(180)

BOARD = "stm32f405-1"
_BENCHWIRE = [sys.executable, "-m", "benchwire.deploy"]


@pytest.fixture(scope="module")
def environment(lab_data: Path, quiet_environment: dict[str, str]) -> dict[str, str]:
    return {**quiet_environment, "BENCHWIRE_DATA": str(lab_data)}


@pytest.fixture(scope="module")
def served(environment: dict[str, str]) -> Iterator[str]:
    """Where `benchwire mcp --http` listens."""
    argv = [*_BENCHWIRE, "mcp", "--http", "--port", "0"]
    with subprocess.Popen(child.dying_with_owner(argv), env=environment, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        try:
            yield serving.stderr.readline().split()[-1]
        finally:
            serving.terminate()
            assert serving.wait(20) == 0


@asynccontextmanager
async def over_stdio(environment: dict[str, str]) -> AsyncGenerator["Agent", None]:
    command, *arguments = child.dying_with_owner([*_BENCHWIRE, "mcp"])
    async with Client(StdioServerParameters(command=command, args=arguments, env=environment)) as client:
        yield Agent(client)


@asynccontextmanager
async def over_http(url: str) -> AsyncGenerator["Agent", None]:
    async with Client(url) as client:
        yield Agent(client)


class Agent:
    def __init__(self, client: Client) -> None:
        self.client = client

    async def asks(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = await self.client.call_tool(tool, arguments)
        assert isinstance(answer, CallToolResult)
        assert not answer.is_error, answer.content
        told: dict[str, Any] | None = answer.structured_content
        assert told is not None
        return told

    async def is_told(self, tool: str, **arguments: Any) -> str:
        answer = await self.client.call_tool(tool, arguments)
        assert isinstance(answer, CallToolResult)
        assert answer.is_error, answer.structured_content
        [said] = answer.content
        assert isinstance(said, TextContent)
        return said.text


async def test_an_agent_has_firmware_built_and_puts_it_on_a_board_of_its_own(
    environment: dict[str, str], echo_source: str
) -> None:
    async with over_stdio(environment) as agent:
        node = {
            "node_id": "echo",
            "sources": {"main.c": echo_source},
            "assertions": [{"name": "it says so", "pattern": "READY"}],
        }
        begun = await agent.asks("start_firmware_task", prompt="An echo.", board="stm32f405", nodes=[node])
        task_id = begun["task_id"]
        steps: list[str | None] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            steps.append(message)

        waited = await agent.client.call_tool("wait_for_task", {"task_id": task_id}, progress_callback=on_progress)
        assert isinstance(waited, CallToolResult)
        assert (waited.structured_content or {})["status"] == "completed", waited.structured_content
        assert steps[-1] is not None
        assert "completed" in steps[-1]
        [module] = (await agent.asks("get_task_results", task_id=task_id))["modules"]
        assert module["assertions"][0]["passed"]
        assert "READY" in module["output"]

        lease = await agent.asks("lease_device", holder="an agent", profile="stm32f405", wait_s=60)
        assert (lease["device_id"], lease["state"]) == (BOARD, "held")
        flashed = {"device": BOARD, "artifact_id": module["image"]["digest"], "expect": "READY"}
        assert "leased" in await agent.is_told("flash_device", **flashed)
        job = await agent.asks("flash_device", **flashed, lease_id=lease["lease_id"])
        assert (job["status"], job["expected"]) == ("completed", True), job
        assert (await agent.asks("list_flash_jobs", device=BOARD))["jobs"][0]["job_id"] == job["job_id"]
        answer = await agent.asks(
            "write_serial", device=BOARD, text="hello", until="(hel+o)", lease_id=lease["lease_id"]
        )
        assert (answer["matched"], answer["groups"]) == (True, ["hello"])
        assert "READY" in (await agent.asks("read_serial", device=BOARD))["lines"]
        silent = await agent.asks("wait_for_line", device=BOARD, pattern="never", timeout_s=0.2)
        assert silent["matched"] is False
        await agent.asks("release_device", lease_id=lease["lease_id"])
        [device] = (await agent.asks("list_devices", state="available"))["devices"]
        assert device["lease"] is None


async def test_an_agent_starts_another_and_decides_what_it_may_run(served: str) -> None:
    async with over_http(served) as agent:
        session = await agent.asks("start_session", prompt="hello", ask_before=["bash"])
        waiting = await agent.asks("wait_for_session", session_id=session["session_id"])
        assert (waiting["status"], waiting["approvals"]) == ("running", 1)
        [approval] = (await agent.asks("list_approvals", session_id=session["session_id"]))["approvals"]
        assert (approval["tool_name"], "uname" in approval["tool_input"]["command"]) == ("bash", True)
        of_call = {"session_id": session["session_id"], "tool_use_id": approval["tool_use_id"]}
        assert (await agent.asks("decide_approval", **of_call, approve=True))["state"] == "approved"
        assert "approved by mcp" in await agent.is_told("decide_approval", **of_call, approve=False)
        ended = await agent.asks("wait_for_session", session_id=session["session_id"])
        assert (ended["status"], "scripted model" in ended["result"]) == ("finished", True), ended
        said = await agent.asks("say_to_session", session_id=session["session_id"], text="hello again")
        assert said["status"] == "resumed"


async def test_a_session_that_waits_for_a_word_can_be_stopped(served: str) -> None:
    async with over_http(served) as agent:
        session = await agent.asks("start_session", prompt="hello", name="waits", ask_before=["bash"])
        waiting = await agent.asks("wait_for_session", session_id=session["session_id"])
        assert (waiting["session_name"], waiting["approvals"]) == ("waits", 1)
        await agent.asks("stop_session", session_id=session["session_id"])
        ended = await agent.asks("wait_for_session", session_id=session["session_id"])
        assert ended["status"] == "stopped"
        assert "not running" in await agent.is_told("stop_session", session_id=session["session_id"])


async def test_documents_are_pushed_searched_and_read(served: str) -> None:
    word = f"w{uuid.uuid4().hex}"
    async with over_http(served) as agent:
        pushed = await agent.asks("push_document", name="note.md", text=f"About {word}, ä.", tags=["mcp"])

        async def by_its_word() -> dict[str, Any] | None:
            answer = await agent.asks("search_documents", query=word, tags=["mcp"])
            return answer if answer["total"] else None

        found = await eventually(by_its_word, what="it is indexed")
        assert [one["id"] for one in found["documents"]] == [pushed["id"]]
        assert word in found["documents"][0]["snippet"]
        part = await agent.asks("read_document", document_id=pushed["id"], offset=6, max_chars=3)
        assert (part["text"], part["next_offset"], part["total_chars"]) == (word[:3], 9, len(word) + 10)
        [text] = (await agent.client.read_resource(f"benchwire://documents/{pushed['id']}")).contents
        assert isinstance(text, TextResourceContents)
        assert text.text == f"About {word}, ä."

        raw = base64.b64encode(b"\x00\xff").decode()
        binary = await agent.asks("push_document", name="a.bin", content_base64=raw)
        [blob] = (await agent.client.read_resource(f"benchwire://documents/{binary['id']}")).contents
        assert isinstance(blob, BlobResourceContents)
        assert blob.blob == raw


async def test_a_no_of_the_lab_is_told_in_its_own_words(served: str) -> None:
    async with over_http(served) as agent:
        assert "no-such-task" in await agent.is_told("get_task", task_id="no-such-task")
        assert "nowhere" in await agent.is_told("read_serial", device="nowhere")
        with pytest.raises(MCPError, match="doc_none"):
            await agent.client.read_resource("benchwire://documents/doc_none")
