"""The tools of a session: what the model may call, family by family, and what has to run while it may.

Needs the Anthropic SDK, which takes seconds to import: not to be imported before a session needs it.
"""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncGenerator
from fnmatch import fnmatchcase

from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.toolbox import boards, documents, firmware, flashing, serial, sessions, shelf, skills
from benchwire.agent.toolbox.leases import Leases
from benchwire.agent.toolbox.place import Place

__all__ = ["Place", "briefing", "opened"]


@contextlib.asynccontextmanager
async def opened(calls: Calls, place: Place) -> AsyncGenerator[list[Tool], None]:
    """The tools that the session of ``place`` may use, for the time of the context; what they hold is let go with it.

    Raises ``GivenUp`` when what the blueprint needs is not there.
    """
    await asyncio.to_thread(_lay_out_skills, place)
    held = Leases(place)
    async with held.kept(), _of_servers(calls, place) as theirs:
        yield [one for one in [*_own(calls, place, held), *theirs] if _may_use(place, one.name)]


async def briefing(place: Place) -> str:
    """What the system prompt has to say beside the blueprint's own: of its skills. Empty when there is nothing. Raises ``GivenUp``."""
    return skills.told(await asyncio.to_thread(_skills, place))


@contextlib.asynccontextmanager
async def _of_servers(calls: Calls, place: Place) -> AsyncGenerator[list[Tool], None]:
    """The tools of the blueprint's MCP servers. Their SDK takes as long to import as the model's: only whoever has servers waits for it."""
    if place.blueprint is None or not place.blueprint.mcp_servers:
        yield []
        return
    await asyncio.to_thread(importlib.import_module, f"{__name__}.mcp.servers")
    from benchwire.agent.toolbox.mcp import servers  # noqa: PLC0415 - now that it has been loaded, beside the event loop

    async with servers.opened(calls, place) as tools:
        yield tools


def _own(calls: Calls, place: Place, held: Leases) -> list[Tool]:
    seen = boards.Boards(place, held)
    made = firmware.Firmware(place)
    lines = serial.Serial(place, seen, held)
    return [
        *shelf.tools(calls, place),
        *boards.tools(calls, seen),
        *firmware.tools(calls, made),
        *flashing.tools(calls, flashing.Flashing(place, seen, held, lines, made)),
        *serial.tools(calls, lines),
        *documents.tools(calls, documents.Documents(place, made)),
        *sessions.tools(calls, sessions.Children(place)),
    ]


def _skills(place: Place) -> list[skills.Skill]:
    blueprint = place.blueprint
    if blueprint is None:
        return []
    return skills.found(blueprint.skills, place.lab.settings.skills, agent_name=blueprint.name)


def _lay_out_skills(place: Place) -> None:
    skills.laid_out(_skills(place), place.workdir)


def _may_use(place: Place, name: str) -> bool:
    """Whether the blueprint lets its agent have the tool; ``files__*`` stands for all tools of the MCP server ``files``."""
    tools = place.blueprint.tools if place.blueprint is not None else None
    return tools is None or any(fnmatchcase(name, pattern) for pattern in tools)
