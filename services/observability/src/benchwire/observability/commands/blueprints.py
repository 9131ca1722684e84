"""Blueprints: made, changed, deleted, and used to start a session."""

from datetime import datetime

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
    return BlueprintCreated(
        timestamp=now, name=asked.name, description=asked.description, system_prompt=asked.system_prompt,
        mcp_servers=asked.mcp_servers, skills=asked.skills, tags=list(dict.fromkeys(asked.tags)), status=asked.status,
    )  # fmt: skip


def change_blueprint(blueprint: Blueprint | None, name: str, asked: ChangeAgent, now: datetime) -> Event | None:
    """What differs from what there is. Raises ``BlueprintUnknown`` and ``Unusable``."""
    if blueprint is None:
        raise errors.BlueprintUnknown(name)
    if asked.name not in (UNSET, name):
        raise errors.Unusable("name: an agent keeps its name; create another one and delete this one")
    _check_recipe(asked)
    given = asked.changes
    if "tags" in given:
        given["tags"] = list(dict.fromkeys(given["tags"]))
    news = {field: value for field, value in given.items() if value != getattr(blueprint, field)}
    return BlueprintUpdated(timestamp=now, name=name, changes=news) if news else None


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


def can_start(blueprint: Blueprint | None, agent_name: str) -> None:
    """Raises ``Unusable`` when a session for that agent could never run."""
    if blueprint is None:
        raise errors.Unusable(
            f"agent_name: there is no agent {agent_name[:64]!r}; GET /agents lists them, and without agent_name any runner does"
        )
    if blueprint.status != ACTIVE:
        raise errors.Unusable(f"agent_name: the agent {agent_name!r} is {blueprint.status}; set it active first")
