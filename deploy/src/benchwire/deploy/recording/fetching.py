"""What is recorded, out of a lab: a session through its export, a task from the log itself, which no route tells whole."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from benchwire.client.errors import NoLab
from benchwire.deploy.client import Client
from benchwire.deploy.recording import NotRecordable, of_session, of_task
from benchwire.deploy.scripted.cassette import Cassette
from benchwire.events import codec
from benchwire.events.bus import Bus, connected
from benchwire.events.catalog import aggregate_of
from benchwire.events.event import Event, token
from benchwire.events.log import Log
from benchwire.events.settings import NatsSettings
from benchwire.events.task import TaskRequested

MAX_CHILDREN = 64
_UNTOLD = ("created_at", "modified_at")


class _Line(msgspec.Struct):
    event: msgspec.Raw = msgspec.Raw(b"null")
    version: int = 1


async def of_session_id(client: Client, session_id: str) -> Cassette:
    """The cassette of a session, with the sessions that it started. Raises ``NotRecordable``, ``NoLab`` and ``Refused``."""
    session = await client.session(session_id)
    if session is None:
        raise NotRecordable(f"there is no session {session_id!r}")
    agent = await client.agent(session["agent_name"]) if session.get("agent_name") else None
    events = await _events(client, session_id)
    children = [await _events(client, child) for child in await _below(client, session_id)]
    return of_session.cassette_of(events, agent=_recipe(agent), children=children)


async def of_task_id(settings: NatsSettings, task_id: str) -> Cassette:
    """The cassette of a task. Raises ``NotRecordable``, and what a log that is away raises."""
    token(task_id, "ID")
    async with connected(settings, name="benchwire-record") as bus:
        return of_task.cassette_of([one async for one in _of_task(bus, task_id)])


async def _of_task(bus: Bus, task_id: str) -> AsyncGenerator[Event, None]:
    async with aclosing(Log(bus).read([aggregate_of(TaskRequested, task_id=task_id)])) as recorded:
        async for one in recorded:
            yield one.event


async def _below(client: Client, session_id: str) -> list[str]:
    """The sessions that a session started, and that those started."""
    found: list[str] = []
    ahead = [session_id]
    while ahead and len(found) < MAX_CHILDREN:
        children = [str(one["session_id"]) for one in await client.sessions(parent_session_id=ahead.pop(0))]
        new = [one for one in children if one not in found]
        found += new
        ahead += new
    return found


async def _events(client: Client, session_id: str) -> list[Event]:
    body = b"".join([piece async for piece in client.exported(session_id)])
    events = []
    for line in body.splitlines()[1:]:
        try:
            read = msgspec.json.decode(line, type=_Line)
            event = codec.decode(bytes(read.event), {codec.VERSION: str(read.version)})
        except (msgspec.MsgspecError, codec.Malformed) as error:
            raise NoLab(f"the session {session_id!r} came with an event that cannot be read: {error}") from error
        if not isinstance(event, codec.Unknown):
            events.append(event)
    return events


def _recipe(agent: dict[str, Any] | None) -> dict[str, Any] | None:
    """A recipe as it would be made again."""
    if agent is None:
        return None
    return {name: value for name, value in agent.items() if name not in _UNTOLD and value is not None}
