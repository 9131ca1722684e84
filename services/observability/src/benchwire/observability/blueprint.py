"""What a blueprint is, folded from its events: the recipe that an agent is started from."""

from typing import Any

import msgspec

from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.event import Event
from benchwire.events.session import Budget
from benchwire.observability.session import iso

ALL: tuple[type[Event], ...] = (BlueprintCreated, BlueprintUpdated, BlueprintDeleted)
ACTIVE = "active"
INACTIVE = "inactive"


class Blueprint(msgspec.Struct, frozen=True, kw_only=True):
    """A blueprint. Times are ISO 8601 in UTC with microseconds; ``mcp_servers`` holds no secrets, only the names of variables that do.

    ``tools`` are those that its sessions may use, null means all. A person is asked before each of ``ask_before``, and waited for so long.
    It takes whatever the events can say: what may be asked for is checked before, by ``recipe``.
    """

    name: str
    description: str = ""
    system_prompt: str | None = None
    mcp_servers: dict[str, Any] | None = None
    skills: list[str] | None = None
    tags: list[str] = []
    status: str = ACTIVE
    model: str | None = None
    tools: list[str] | None = None
    ask_before: list[str] = []
    ask_expires_s: float = 300.0
    budget: Budget | None = None
    created_at: str
    modified_at: str


CHANGEABLE = (
    "description", "system_prompt", "mcp_servers", "skills", "tags", "status", "model", "tools", "ask_before", "ask_expires_s", "budget",
)  # fmt: skip


def evolve(blueprint: Blueprint | None, event: Event) -> Blueprint | None:
    """The blueprint after ``event``; None is one that is not there. Raises ``ValidationError`` for a change that is none."""
    match event:
        case BlueprintCreated():
            at = iso(event.timestamp)
            recipe = {field: getattr(event, field) for field in CHANGEABLE}
            return Blueprint(name=event.name, created_at=at, modified_at=at, **recipe)
        case BlueprintUpdated():
            return None if blueprint is None else _changed(blueprint, event)
        case BlueprintDeleted():
            return None
        case _:
            return blueprint


def _changed(blueprint: Blueprint, event: BlueprintUpdated) -> Blueprint:
    news = {field: value for field, value in event.changes.items() if field in CHANGEABLE}
    changed = {**msgspec.to_builtins(blueprint), **news, "modified_at": iso(event.timestamp)}
    return msgspec.convert(changed, Blueprint)
