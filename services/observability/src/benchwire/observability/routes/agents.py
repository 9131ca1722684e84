"""Agents: the blueprints from which sessions are started."""

from litestar import delete, get, patch, post
from litestar.params import JSONBody

from benchwire.events.event import Event
from benchwire.observability import blueprint, commands, queries
from benchwire.observability.agents import known
from benchwire.observability.blueprint import Blueprint
from benchwire.observability.errors import Unusable
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.routes.params import Id, Text, TheLab
from benchwire.observability.wire import examples
from benchwire.observability.wire.blueprints import ChangeAgent, CreateAgent, SetStatus
from benchwire.web.described import described
from benchwire.web.tokens import Scope


@get("/agents")
async def list_agents(lab: TheLab, tags: Text = None) -> list[Blueprint]:
    """All agents by name; with ``tags``, comma separated, those that have all of them."""
    wanted = [tag.strip() for tag in (tags or "").split(",") if tag.strip()]
    return await lab.read(lambda db: queries.blueprints(db, wanted))


@post("/agents", status_code=201, opt=described(example=examples.AGENT, refuses=(409,)))
async def create_agent(lab: TheLab, data: JSONBody[CreateAgent]) -> Blueprint:
    """Makes an agent. Where a secret is needed, ``${NAME}`` stands for a variable of the agent runner's environment."""
    # What is wrong with it by itself, before the log is asked.
    _kept(lab, commands.create_blueprint(None, data, lab.now()))
    made = await lab.log.decide(
        blueprint.ALL, None, blueprint.evolve, lambda found: commands.create_blueprint(found, data, lab.now()),
        deadline_s=WRITE_DEADLINE_S, name=data.name,
    )  # fmt: skip
    await lab.shown(made.sequence)
    assert made.state is not None
    return made.state


@get("/agents/{name:str}")
async def get_agent(lab: TheLab, name: Id) -> Blueprint:
    """One agent."""
    return await known(lab, name)


@patch("/agents/{name:str}", opt=described(example=examples.AGENT_CHANGE))
async def change_agent(lab: TheLab, name: Id, data: JSONBody[ChangeAgent]) -> Blueprint:
    """Changes what is given; null clears ``system_prompt``, ``mcp_servers`` and ``skills``."""
    return await _changed(lab, name, data)


@patch("/agents/{name:str}/status", opt=described(example=examples.AGENT_STATUS))
async def set_status(lab: TheLab, name: Id, data: JSONBody[SetStatus]) -> Blueprint:
    """Makes an agent active or inactive; sessions cannot be started from one that is inactive."""
    return await _changed(lab, name, ChangeAgent(status=data.status))


async def _changed(lab: Lab, name: str, asked: ChangeAgent) -> Blueprint:
    await known(lab, name)
    made = await lab.log.decide(
        blueprint.ALL, None, blueprint.evolve,
        lambda found: _kept(lab, commands.change_blueprint(found, name, asked, lab.now())),
        deadline_s=WRITE_DEADLINE_S, name=name,
    )  # fmt: skip
    await lab.shown(made.sequence)
    assert made.state is not None
    return made.state


def _kept(lab: Lab, event: Event | None) -> Event | None:
    """``event``, when the log keeps all of it: with a hole in it, a server of its agent could not be started. Raises ``Unusable``."""
    if event is not None and lab.log.published(event) != event:
        raise Unusable(
            "it holds what looks like a key or a password, and events are kept for ever; write ${NAME} in its place, and set the variable "
            "NAME in the environment of the agent runner"
        )
    return event


@delete("/agents/{name:str}", opt=described(scope=Scope.CONTROL))
async def delete_agent(lab: TheLab, name: Id) -> None:
    """Removes an agent; sessions that were started from it stay."""
    await known(lab, name)
    made = await lab.log.decide(
        blueprint.ALL, None, blueprint.evolve, lambda found: commands.delete_blueprint(found, name, lab.now()),
        deadline_s=WRITE_DEADLINE_S, name=name,
    )  # fmt: skip
    await lab.shown(made.sequence)


ROUTES = [list_agents, create_agent, get_agent, change_agent, set_status, delete_agent]
