"""A real runner, as an operator sets it up, with an agent that has a skill, an MCP server, and only some of the tools."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

from benchwire.agent.sandbox import python_paths
from benchwire.events.blueprint import BlueprintCreated
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.session import MessageSent, SessionEnded, SessionFailed, SessionRequested, ToolReturned
from benchwire.events.testing.eventually import eventually

StartModel = Callable[[str], AbstractAsyncContextManager[str]]
StartAgent = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]
Happened = Callable[[str], Awaitable[list[Event]]]

SERVER = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("birds")

@server.tool()
def greet(name: str) -> str:
    "Greets a bird."
    return f"hello {name}"

server.run("stdio")
"""
# Its first turn fits only if the system prompt tells of the skill.
SCRIPT = """
[[turn]]
attempt = 1
contains = ["You keep birds.", "greeting (skills/greeting/SKILL.md): How to greet."]
tool = [
    { name = "read_file", input = { path = "skills/greeting/SKILL.md" } },
    { name = "birds__greet", input = { name = "heron" } },
]
[[turn]]
attempt = 2
contains = ["Say hello.", "hello heron"]
text = "Greeted."
"""


async def test_an_agent_uses_its_skill_and_its_server_and_nothing_else(
    tmp_path: Path, log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    script = tmp_path / "servers" / "birds.py"
    skill = tmp_path / "skills" / "greeting"
    script.parent.mkdir()
    skill.mkdir(parents=True)
    script.write_text(SERVER)
    (skill / "SKILL.md").write_text("---\nname: greeting\ndescription: How to greet.\n---\nSay hello.\n")
    now = datetime.now(UTC)
    own = BlueprintCreated(
        timestamp=now, name="keeper", system_prompt="You keep birds.", skills=["greeting"], tools=["read_file", "birds__*"],
        mcp_servers={"birds": {"command": sys.executable, "args": ["-B", str(script)]}},
    )  # fmt: skip
    await log.append(own)
    settings = {
        "skills": str(skill.parent), "mcp_commands": f"uvx,{sys.executable}",
        "mcp_readable": ",".join(map(str, (*python_paths(), script.parent))),
    }  # fmt: skip
    async with model(SCRIPT) as url, agent(url=url, **settings) as process:
        await log.append(
            SessionRequested(
                timestamp=now, session_id="s", session_name="S", prompt="greet the heron", agent_name="keeper"
            )
        )

        async def over() -> list[Event]:
            return [one for one in await happened("bench.session.s.>") if isinstance(one, SessionEnded | SessionFailed)]

        (end,) = await eventually(over, within_s=60, what="the session to be over")
        assert isinstance(end, SessionEnded), end
        assert process.returncode is None
    answers = [one for one in await happened("bench.session.s.tool_returned") if isinstance(one, ToolReturned)]
    assert [(one.tool_name, one.error) for one in answers] == [("read_file", None), ("birds__greet", None)]
    said = [one for one in await happened("bench.session.s.message") if isinstance(one, MessageSent)]
    assert said[-1].content[-1]["text"] == "Greeted."
