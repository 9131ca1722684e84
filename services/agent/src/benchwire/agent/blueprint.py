"""A blueprint, folded from its events: what a session that names an agent is run with."""

from collections.abc import Collection

from msgspec import Struct

from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.event import Event

TYPES: tuple[type[Event], ...] = (BlueprintCreated, BlueprintUpdated, BlueprintDeleted)


class Blueprint(Struct, frozen=True, kw_only=True):
    """One blueprint. ``mcp_servers`` and ``skills`` are the names of what this runner would have to bring along."""

    name: str
    system_prompt: str | None = None
    mcp_servers: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    status: str = "active"


def evolve(blueprint: Blueprint | None, event: Event) -> Blueprint | None:
    """The blueprint after ``event``; None is one that is not there."""
    match event:
        case BlueprintCreated():
            return Blueprint(
                name=event.name, system_prompt=event.system_prompt, mcp_servers=_names(event.mcp_servers),
                skills=_names(event.skills), status=event.status,
            )  # fmt: skip
        case BlueprintUpdated() if blueprint is not None:
            news = event.changes
            return Blueprint(
                name=blueprint.name,
                system_prompt=news.get("system_prompt", blueprint.system_prompt),
                mcp_servers=_names(news.get("mcp_servers", blueprint.mcp_servers)),
                skills=_names(news.get("skills", blueprint.skills)),
                status=news.get("status", blueprint.status),
            )
        case BlueprintDeleted():
            return None
        case _:
            return blueprint


def _names(given: Collection[str] | None) -> tuple[str, ...]:
    return tuple(given or ())


def why_not(blueprint: Blueprint | None, agent_name: str) -> str | None:
    """Why a session of that agent cannot run, as a sentence that a person can act on; None when it can."""
    if blueprint is None:
        return f"there is no agent {agent_name[:64]!r}; make it with POST /agents, or ask again without agent_name"
    if blueprint.status != "active":
        return f"the agent {agent_name!r} is {blueprint.status}; set it active, and ask again"
    if blueprint.mcp_servers:
        return (
            f"the agent {agent_name!r} needs MCP servers ({', '.join(blueprint.mcp_servers)}), which this agent runner cannot use; "
            "take them out of the agent, and ask again"
        )
    if blueprint.skills:
        return (
            f"the agent {agent_name!r} needs skills ({', '.join(blueprint.skills)}), which this agent runner cannot use; "
            "take them out of the agent, and ask again"
        )
    return None
