"""What other agents can do in a lab: one file per family, each ending in its tools."""

from mcp.server.mcpserver.tools import Tool

from benchwire.mcp.tools import boards, documents, flashing, serial, sessions, tasks

TOOLS: list[Tool] = [*tasks.TOOLS, *sessions.TOOLS, *boards.TOOLS, *flashing.TOOLS, *serial.TOOLS, *documents.TOOLS]
