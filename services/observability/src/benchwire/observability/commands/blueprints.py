"""Blueprints: made, changed, deleted, and used to start a session."""

from datetime import datetime

import msgspec
from msgspec import UNSET

from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.event import Event
from benchwire.observability import errors, recipe
from benchwire.observability.blueprint import ACTIVE, Blueprint
from benchwire.observability.wire.blueprints import ChangeAgent, CreateAgent


def create_blueprint(blueprint: Blueprint | None, asked: CreateAgent, now: datetime) -> Event:
    """A blueprint of a free name. Raises ``BlueprintExists`` and ``Unusable``."""
    recipe.checked_name(asked.name)
    _check_recipe(asked)
    if blueprint is not None:
        raise errors.BlueprintExists(asked.name)
    budget = recipe.checked_budget(asked.budget)
    return BlueprintCreated(
        timestamp=now, name=asked.name, description=asked.description, system_prompt=asked.system_prompt,
        mcp_servers=asked.mcp_servers, skills=asked.skills, tags=_once(asked.tags), status=asked.status, model=asked.model,
        tools=None if asked.tools is None else _once(asked.tools), ask_before=_once(asked.ask_before), ask_expires_s=asked.ask_expires_s,
        budget=budget,
    )  # fmt: skip


def change_blueprint(blueprint: Blueprint | None, name: str, asked: ChangeAgent, now: datetime) -> Event | None:
    """What differs from what there is. Raises ``BlueprintUnknown`` and ``Unusable``."""
    if blueprint is None:
        raise errors.BlueprintUnknown(name)
    if asked.name not in (UNSET, name):
        raise errors.Unusable("name: an agent keeps its name; create another one and delete this one")
    _check_recipe(asked)
    given = asked.changes
    for field in ("tags", "tools", "ask_before"):
        if given.get(field) is not None:
            given[field] = _once(given[field])
    if "budget" in given:
        given["budget"] = recipe.checked_budget(given["budget"])
    news = {field: value for field, value in given.items() if value != getattr(blueprint, field)}
    return BlueprintUpdated(timestamp=now, name=name, changes=msgspec.to_builtins(news)) if news else None


def delete_blueprint(blueprint: Blueprint | None, name: str, now: datetime) -> Event:
    """The end of a blueprint. Raises ``BlueprintUnknown``."""
    if blueprint is None:
        raise errors.BlueprintUnknown(name)
    return BlueprintDeleted(timestamp=now, name=name)


def _check_recipe(asked: CreateAgent | ChangeAgent) -> None:
    if asked.description is not UNSET:
        recipe.checked_text(asked.description, "description")
    if asked.system_prompt is not UNSET:
        recipe.checked_text(asked.system_prompt, "system_prompt")
    if asked.mcp_servers is not UNSET:
        recipe.checked_servers(asked.mcp_servers)
    if asked.model is not UNSET:
        recipe.checked_text(asked.model, "model")
    if asked.tools is not UNSET and asked.tools is not None:
        recipe.checked_tools(asked.tools, "tools")
    if asked.ask_before is not UNSET:
        recipe.checked_tools(asked.ask_before, "ask_before")
    if asked.ask_expires_s is not UNSET:
        recipe.checked_patience(asked.ask_expires_s)
    if asked.budget is not UNSET:
        recipe.checked_budget(asked.budget)


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def can_start(blueprint: Blueprint | None, agent_name: str) -> None:
    """Raises ``Unusable`` when a session for that agent could never run."""
    if blueprint is None:
        raise errors.Unusable(
            f"agent_name: there is no agent {agent_name[:64]!r}; GET /agents lists them, and without agent_name any runner does"
        )
    if blueprint.status != ACTIVE:
        raise errors.Unusable(f"agent_name: the agent {agent_name!r} is {blueprint.status}; set it active first")
