"""What clients ask about agents, which are the blueprints of the log. What they get is a ``Blueprint`` as it is: its fields are their words."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from benchwire.events.session import Budget
from benchwire.observability.blueprint import CHANGEABLE
from benchwire.observability.recipe import Description, Model, Servers, Skills, SystemPrompt, Tags

Word = Literal["active", "inactive"]


class CreateAgent(msgspec.Struct, kw_only=True):
    """Body of ``POST /agents``."""

    name: str
    description: Description = ""
    system_prompt: SystemPrompt | None = None
    mcp_servers: Servers | None = None
    skills: Skills | None = None
    tags: Tags = []
    status: Word = "active"
    model: Model | None = None
    tools: list[str] | None = None
    ask_before: list[str] = []
    ask_expires_s: float = 300.0
    budget: Budget | None = None


class ChangeAgent(msgspec.Struct, kw_only=True):
    """Body of ``PATCH /agents/{name}``: what is absent stays, null clears what may be absent. ``name`` may only repeat the name."""

    name: str | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    system_prompt: SystemPrompt | UnsetType | None = UNSET
    mcp_servers: Servers | UnsetType | None = UNSET
    skills: Skills | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    status: Word | UnsetType = UNSET
    model: Model | UnsetType | None = UNSET
    tools: list[str] | UnsetType | None = UNSET
    ask_before: list[str] | UnsetType = UNSET
    ask_expires_s: float | UnsetType = UNSET
    budget: Budget | UnsetType | None = UNSET

    @property
    def changes(self) -> dict[str, Any]:
        """The fields that were given, with their new values."""
        given = {field: getattr(self, field) for field in CHANGEABLE}
        return {field: value for field, value in given.items() if value is not UNSET}


class SetStatus(msgspec.Struct, kw_only=True):
    """Body of ``PATCH /agents/{name}/status``."""

    status: Word
