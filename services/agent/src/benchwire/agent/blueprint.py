"""A blueprint, folded from its events: what a session that names an agent is run with."""

from typing import Any

import msgspec
from msgspec import Struct

from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.event import Event
from benchwire.events.session import Budget

TYPES: tuple[type[Event], ...] = (BlueprintCreated, BlueprintUpdated, BlueprintDeleted)


class Blueprint(Struct, frozen=True, kw_only=True):
    """One blueprint. ``mcp_servers`` are how to reach each, by name; ``tools`` are those it may use, None means all.

    Those in ``ask_before`` wait for a person's word, for ``ask_expires_s`` seconds at most.
    """

    name: str
    system_prompt: str | None = None
    mcp_servers: dict[str, Any] = {}
    skills: tuple[str, ...] = ()
    status: str = "active"
    model: str | None = None
    tools: tuple[str, ...] | None = None
    ask_before: tuple[str, ...] = ()
    ask_expires_s: float = 300.0
    budget: Budget | None = None


def evolve(blueprint: Blueprint | None, event: Event) -> Blueprint | None:
    """The blueprint after ``event``; None is one that is not there."""
    match event:
        case BlueprintCreated():
            return _of(msgspec.structs.asdict(event))
        case BlueprintUpdated() if blueprint is not None:
            try:
                return _of({**msgspec.structs.asdict(blueprint), **event.changes, "name": blueprint.name})
            except msgspec.ValidationError:  # the door refuses such a change; it changes nothing
                return blueprint
        case BlueprintDeleted():
            return None
        case _:
            return blueprint


def _of(fields: dict[str, Any]) -> Blueprint:
    """The blueprint with ``fields``: one that is absent or None has its default, others than its own are left out. Raises ``ValidationError``."""
    known = {name: fields[name] for name in Blueprint.__struct_fields__ if fields.get(name) is not None}
    return msgspec.convert(msgspec.to_builtins(known), Blueprint)


def why_not(blueprint: Blueprint | None, agent_name: str) -> str | None:
    """Why a session of that agent cannot run, as a sentence that a person can act on; None when it can."""
    if blueprint is None:
        return f"there is no agent {agent_name[:64]!r}; make it with POST /agents, or ask again without agent_name"
    if blueprint.status != "active":
        return f"the agent {agent_name!r} is {blueprint.status}; set it active, and ask again"
    return None
