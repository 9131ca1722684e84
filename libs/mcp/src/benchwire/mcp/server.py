"""The server: what is offered, over any transport."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio
from mcp.server.mcpserver import MCPServer

from benchwire.mcp import resources
from benchwire.mcp.reach import Reach, Reached
from benchwire.mcp.tools import TOOLS

MOST_AT_ONCE = 200  # calls; a thread that waits costs little

INSTRUCTIONS = """\
Benchwire is a hardware lab: boards on many hosts, agents that write firmware and code for them, and a document store.

Firmware from words: start_firmware_task, wait_for_task, get_task_results; flash_device takes the image's digest as artifact_id.
A board for yourself: list_devices, lease_device, then flash_device, write_serial and wait_for_line with its lease_id, and release_device.
An agent of the lab: start_session, wait_for_session; when approvals wait, list_approvals shows what would be done, and decide_approval decides.
Whatever takes long is begun at once and waited for with a limit; call the wait again to go on waiting."""


def made(reach: Reach) -> MCPServer[Reached]:
    """A server whose calls go where ``reach`` says."""

    @asynccontextmanager
    async def reaching(_: MCPServer[Reached]) -> AsyncGenerator[Reached, None]:
        yield Reached(reach, anyio.CapacityLimiter(MOST_AT_ONCE))

    server = MCPServer(
        "benchwire",
        title="Benchwire",
        description="A hardware lab: firmware and code made by agents, boards flashed and heard, documents.",
        instructions=INSTRUCTIONS,
        version=version("benchwire-mcp"),
        tools=TOOLS,
        lifespan=reaching,
        log_level="WARNING",
    )
    resources.offer(server)
    return server
