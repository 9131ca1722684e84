"""Blueprints: the named recipes from which agents are started."""

from typing import Any

from benchwire.events.event import Event
from benchwire.events.session import Budget


class BlueprintCreated(Event, frozen=True, kw_only=True, tag="blueprint_created"):
    """A recipe for an agent.

    ``tools`` are those it may use, None means all. Those in ``ask_before`` wait for a person's word, for ``ask_expires_s`` seconds at most.
    """

    name: str
    description: str = ""
    system_prompt: str | None = None
    mcp_servers: dict[str, Any] | None = None
    skills: list[str] | None = None
    tags: list[str] = []
    status: str = "active"
    model: str | None = None
    tools: list[str] | None = None
    ask_before: list[str] = []
    ask_expires_s: float = 300.0
    budget: Budget | None = None


class BlueprintUpdated(Event, frozen=True, kw_only=True, tag="blueprint_updated"):
    """``changes`` holds the fields that were changed, with their new values."""

    name: str
    changes: dict[str, Any]


class BlueprintDeleted(Event, frozen=True, kw_only=True, tag="blueprint_deleted"):
    """The recipe is gone; sessions that were started from it stay."""

    name: str


BlueprintEvent = BlueprintCreated | BlueprintUpdated | BlueprintDeleted
