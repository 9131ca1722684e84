"""Starting: whether the agent that is asked for can be had."""

from benchwire.observability import commands, queries
from benchwire.observability.lab import Lab
from benchwire.observability.recipe import NAME


async def check_agent(lab: Lab, agent_name: str) -> None:
    """Raises ``Unusable`` when no session can be started for that agent."""
    found = await lab.read(lambda db: queries.blueprint(db, agent_name)) if NAME.fullmatch(agent_name) else None
    commands.can_start(found, agent_name)
