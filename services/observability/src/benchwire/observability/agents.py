"""Agents, by name: the blueprints that sessions are started from."""

from benchwire.observability import commands, errors, queries
from benchwire.observability.blueprint import Blueprint
from benchwire.observability.lab import Lab
from benchwire.observability.recipe import NAME


async def found(lab: Lab, name: str) -> Blueprint | None:
    """The blueprint of that name, if there is one."""
    return await lab.read(lambda db: queries.blueprint(db, name)) if NAME.fullmatch(name) else None


async def known(lab: Lab, name: str) -> Blueprint:
    """The blueprint of that name. Raises ``BlueprintUnknown``."""
    blueprint = await found(lab, name)
    if blueprint is None:
        raise errors.BlueprintUnknown(name)
    return blueprint


async def check_startable(lab: Lab, name: str) -> None:
    """Raises ``Unusable`` when no session can be started for that agent."""
    commands.can_start(await found(lab, name), name)
