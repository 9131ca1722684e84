"""A blueprint's MCP servers, written with the official package: one that is a program, in the sandbox, and one that is reached over HTTP."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from anthropic.lib.tools import ToolError

from benchwire.agent.blueprint import Blueprint
from benchwire.agent.errors import GivenUp
from benchwire.agent.sandbox import python_paths
from benchwire.agent.sessions.calls import Tool
from benchwire.events import child
from benchwire.events.log import Log
from benchwire.events.session import ToolCalled, ToolReturned
from benchwire.events.testing.eventually import eventually

OpenTools = Callable[..., AbstractAsyncContextManager[dict[str, Tool]]]

SECRET = "hunter2-hunter2"
SERVER = """
import os, sys, time
from pathlib import Path
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("birds")

@server.tool()
def greet(name: str) -> str:
    "Greets a bird."
    return f"hello {name}"

@server.tool()
def surroundings() -> str:
    "Tells what can be seen."
    files = [str(one) for one in (Path.home(), Path("/etc/hostname"), Path("/proc/1/environ")) if one.exists()]
    return f"token {os.environ.get('TOKEN')} args {sys.argv[2:]} key {os.environ.get('ANTHROPIC_API_KEY')} in {os.getcwd()}"

@server.tool()
def leave(name: str) -> str:
    "Leaves a file."
    Path(name).write_text("an egg")
    return "left"

@server.tool()
def picture() -> Image:
    "A picture."
    return Image(data=b"\\x89PNG\\r\\n\\x1a\\n", format="png")

@server.tool()
def refuse() -> str:
    "Refuses."
    raise ToolError(f"not with {os.environ.get('TOKEN')}")

@server.tool()
def hang() -> str:
    "Never answers."
    time.sleep(600)
    return ""

@server.tool()
def die() -> str:
    "Ends the server."
    print("out of feathers", file=sys.stderr, flush=True)
    os._exit(3)

@server.tool()
def called_with(ctx: Context) -> str:
    "Tells the header."
    return str(ctx.headers.get("authorization")) if ctx.headers else "no headers"

if sys.argv[1] == "stdio":
    server.run("stdio")
else:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "servers" / "birds.py"
    file.parent.mkdir()
    file.write_text(SERVER)
    return file


@pytest.fixture
def allowed(script: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings under which the script may be run, and be given a secret."""
    monkeypatch.setenv("BIRD_TOKEN", SECRET)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-model")
    monkeypatch.setenv("OTHER_NAME", "sk-of-the-model")
    return {
        "mcp_commands": (sys.executable,), "mcp_readable": (*python_paths(), script.parent), "mcp_variables": ("BIRD_TOKEN", "OTHER_NAME"),
        "mcp_start_s": 60.0, "mcp_hosts": ("127.0.0.1",),
    }  # fmt: skip


def agent(**servers: Any) -> Blueprint:
    return Blueprint(name="birder", mcp_servers=servers)


def program(script: Path, *args: str) -> dict[str, Any]:
    return {"command": sys.executable, "args": ["-B", str(script), "stdio", *args], "env": {"TOKEN": "${BIRD_TOKEN}"}}


async def refused(tool: Tool, **given: Any) -> str:
    with pytest.raises(ToolError) as told:
        await tool.call(given)
    return str(told.value)


async def test_a_program_is_spoken_with_in_the_sandbox_and_ends_with_the_session(
    log: Log, script: Path, tools: OpenTools, allowed: dict[str, Any]
) -> None:
    recipe = program(script, "--token=${BIRD_TOKEN}")
    async with tools(blueprint=agent(birds=recipe, more=recipe), **allowed) as tool:
        running = [one for one in psutil.Process().children(recursive=True) if str(script) in " ".join(one.cmdline())]
        assert running
        assert {"birds__greet", "more__greet", "bash"} <= set(tool)
        assert await tool["birds__greet"].call({"name": "heron"}) == "hello heron"
        seen = await tool["birds__surroundings"].call({})
        assert seen == "token ${BIRD_TOKEN} args ['--token=${BIRD_TOKEN}'] key None in /sandbox"
        await tool["birds__leave"].call({"name": "nest.txt"})
        assert await tool["read_file"].call({"path": "nest.txt"}) == "an egg"
        (block,) = await tool["birds__picture"].call({})
        assert block == {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        }
        assert "not with ${BIRD_TOKEN}" in await refused(tool["birds__refuse"])
        assert "greet" in await refused(tool["birds__greet"], nickname="x")
        assert "'more' gave no answer: it has ended; it said: " in await refused(tool["more__die"])
        assert "out of feathers" in await refused(tool["more__greet"], name="heron")
    await eventually(lambda: not any(one.is_running() for one in running), what="the servers to be gone")
    events = [one.event async for one in log.read(["bench.session.>"])]
    assert next(one.tool_name for one in events if isinstance(one, ToolCalled)) == "birds__greet"
    assert next(one.tool_output for one in events if isinstance(one, ToolReturned)) == "hello heron"
    assert SECRET not in repr(events)


async def test_a_call_that_is_not_answered_ends_when_its_time_is_up(
    script: Path, tools: OpenTools, allowed: dict[str, Any]
) -> None:
    async with tools(blueprint=agent(birds=program(script)), **allowed, mcp_timeout_s=0.5) as tool:
        assert "did not answer within 0.5 s" in await refused(tool["birds__hang"])


@contextlib.asynccontextmanager
async def listening(script: Path) -> AsyncGenerator[str, None]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])

    async def answers() -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    argv = [sys.executable, "-B", str(script), str(port)]
    async with child.spawn(argv, stdout=child.DEVNULL, stderr=child.DEVNULL):
        await eventually(answers, within_s=60, what="the server to listen")
        yield f"http://127.0.0.1:{port}/mcp"


async def test_an_address_is_spoken_with_over_http(
    log: Log, script: Path, tools: OpenTools, allowed: dict[str, Any]
) -> None:
    async with listening(script) as url:
        recipe = {"type": "http", "url": url, "headers": {"Authorization": "Bearer ${BIRD_TOKEN}"}}
        async with tools(blueprint=agent(birds=recipe), **allowed) as tool:
            assert await tool["birds__greet"].call({"name": "heron"}) == "hello heron"
            assert await tool["birds__called_with"].call({}) == "Bearer ${BIRD_TOKEN}"
            assert "the MCP server 'birds'" in await refused(tool["birds__die"])
    assert SECRET not in repr([one.event async for one in log.read(["bench.session.>"])])


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({"command": "npx", "args": ["server"]}, "allows it with BENCHWIRE_MCP_COMMANDS"),
        ({"command": "not-installed-here"}, "is not installed here"),
        ({"command": "false"}, "the MCP server 'birds' cannot be used"),
        ({"command": "sleep", "args": ["60"]}, "did not answer within 0.5 s"),
        ({"command": "sh", "args": ["-c", "echo no nest >&2; exit 1"]}, "no nest"),
        ({"command": "sh", "args": ["-c", "while :; do echo nonsense; sleep 0.01; done"]}, "did not answer within 0.5 s"),
        ({"command": "sh", "args": ["-c", "yes ''"]}, "it wrote 65536 bytes that are no messages"),
        ({"command": "sh", "args": ["-c", "yes | tr -d '\\n'"]}, "it wrote a line of more than 8388608 bytes"),
        ({"command": "sh", "env": {"LD_PRELOAD": "/sandbox/mine.so"}}, "may not set 'LD_PRELOAD'"),
        ({"command": "sh", "args": ["${HOME}"]}, "allows it with BENCHWIRE_MCP_VARIABLES=HOME"),
        ({"command": "sh", "args": ["${NOT_SET}"]}, "is not set in the environment"),
        ({"command": "sh", "args": ["${ANTHROPIC_API_KEY}"]}, "is the agent runner's own"),
        ({"command": "sh", "args": ["${OTHER_NAME}"]}, "holds the model's key"),
        ({"type": "http", "url": "ftp://127.0.0.1/mcp"}, "has to begin with http"),
        ({"type": "http", "url": "http://127.0.0.1:9/mcp"}, "the MCP server 'birds' cannot be used"),
        ({"type": "pigeon"}, "cannot be reached as the agent says"),
    ],
)  # fmt: skip
async def test_a_server_that_cannot_be_had_ends_the_session_with_a_sentence(
    tools: OpenTools, allowed: dict[str, Any], recipe: dict[str, Any], sentence: str
) -> None:
    own = allowed | {
        "mcp_commands": ("false", "sleep", "sh", "not-installed-here"),
        "mcp_variables": ("NOT_SET", "ANTHROPIC_API_KEY", "OTHER_NAME"),
        "mcp_start_s": 0.5,
    }
    if recipe.get("command") in ("false", "sh"):
        own["mcp_start_s"] = 0.5 if "while" in str(recipe) else 20.0
    with pytest.raises(Exception) as told:  # noqa: PT011 - the projection's task group wraps it
        async with tools(blueprint=agent(birds=recipe), **own):
            pass
    problem: BaseException = told.value
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    assert isinstance(problem, GivenUp)
    assert sentence in str(problem)
    assert "sk-of-the-model" not in str(problem)


async def test_only_what_the_blueprint_lets_an_agent_use_is_offered(
    script: Path, tools: OpenTools, allowed: dict[str, Any]
) -> None:
    blueprint = Blueprint(name="birder", mcp_servers={"birds": program(script)}, tools=("read_file", "birds__g*"))
    async with tools(blueprint=blueprint, **allowed) as tool:
        assert sorted(tool) == ["birds__greet", "read_file"]
