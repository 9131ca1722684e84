"""A cassette that is played again: in a lab of its own, with the real tools, compilers and simulators, and the cassette in the model's place."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import fields, replace

from benchwire.deploy.alone import with_virtual_boards_only
from benchwire.deploy.client import Client
from benchwire.deploy.parts import Part, Site, parts_of
from benchwire.deploy.recording import NotRecordable, fetching
from benchwire.deploy.scripted import cassette as cassettes
from benchwire.deploy.scripted.cassette import Cassette, Decision, Said, SessionAsked, Spoken, TaskAsked
from benchwire.deploy.session.command import beside
from benchwire.deploy.session.conversation import ENDS
from benchwire.deploy.session.following import Seen, followed
from benchwire.deploy.settings import Settings
from benchwire.deploy.supervisor import Lab, running
from benchwire.events.event import Event
from benchwire.events.session import MessageSent, SessionStarted, ToolReturned
from benchwire.events.settings import NatsSettings

FILE = "cassette.json"
_OF_ANOTHER = {"BENCHWIRE_DOCUMENTS_URL"}
# The answer during which somebody says something waits so long, and is asked for so long when it is said: it is then heard before the next one.
_HELD_S = 3.0
_ASKED_AFTER_S = 0.5
_LOOKED_EVERY_S = 0.3

Show = Callable[[Seen], None]
Frame = Callable[[dict[str, Any]], None]


def playable(cassette: Cassette) -> SessionAsked | TaskAsked:
    """What is asked for when ``cassette`` is played. Raises ``NotRecordable`` when it does not say."""
    if cassette.request is None:
        raise NotRecordable(
            "it does not say what was asked for, so that there is nothing to play it for; `benchwire up --cassette` puts it in a model's place"
        )
    request = cassette.request
    if isinstance(request, SessionAsked):
        if not isinstance(request.body.get("session_id"), str):
            raise NotRecordable("its request.body has no session_id; give it one, as `session record` does")
        if request.said and not cassette.conversation:
            raise NotRecordable("people speak in it, and it has no conversation in which a model answers them")
    return request


def boards_of(cassette: Cassette) -> list[str]:
    """The profiles of the boards that a task's nodes went onto."""
    return [
        conversation.contains[0].removeprefix("Board profile: ").strip()
        for conversation in cassette.conversation
        if isinstance(conversation.contains, list)
        and any(result.name == "deploy" for turn in conversation.turn for result in turn.results)
    ]


async def played(
    cassette: Cassette, data: Path, *, virtual: Sequence[str], environment: Mapping[str, str], show: Show, frame: Frame
) -> Cassette:
    """What came of playing it in the empty directory ``data``, with the ``virtual`` boards plugged in, as a cassette.

    Of the environment, what is about another lab is left out. ``show`` gets the events of a session, ``frame`` those of a task.
    Raises ``NotRecordable``, ``CannotStart``, ``NoLab`` and ``Refused``.
    """
    request = playable(cassette)
    file = await asyncio.to_thread(_put, _held(cassette), data)
    own = Settings(
        data=data, cassette=file, observability_port=0, documents_port=0, nats_port=0, virtual=[*virtual, *boards_of(cassette)]
    )  # fmt: skip
    async with (
        running(own, environment=_of_its_own(environment), parts=_parts) as lab,
        Client(lab.site.observability_url) as client,
    ):
        if isinstance(request, SessionAsked):
            return await _session(client, request, show)
        return await _task(client, request, lab, frame)


def _of_its_own(environment: Mapping[str, str]) -> dict[str, str]:
    """What a lab is told that has nothing to do with another one, nor with the real boards that another one may have."""
    others = {f"BENCHWIRE_{field.name.upper()}" for field in fields(Settings)} | _OF_ANOTHER
    own = {
        name: value
        for name, value in environment.items()
        if name not in others and not name.startswith(("ANTHROPIC_", "NATS_", "BENCHWIRE_NATS_"))
    }
    return with_virtual_boards_only(own)


def _parts(site: Site) -> list[Part]:
    """A flash agent is there for virtual boards only."""
    return [one for one in parts_of(site) if one.name != "flash-agent" or site.settings.virtual]


def _put(cassette: Cassette, data: Path) -> Path:
    data.mkdir(parents=True, exist_ok=True)
    file = data / FILE
    file.write_bytes(cassettes.dumped(cassette))
    return file


def _held(cassette: Cassette) -> Cassette:
    """The same, with a pause in the answers during which people spoke."""
    request = cassette.request
    spoken = {one.during for one in request.said if not one.resumed} if isinstance(request, SessionAsked) else set()
    if not spoken:
        return cassette
    first, *others = cassette.conversation
    turns: list[Spoken] = [
        replace(turn, delay_s=_HELD_S) if number in spoken else turn for number, turn in enumerate(first.turn, 1)
    ]
    return replace(cassette, conversation=[replace(first, turn=turns), *others])


async def _session(client: Client, request: SessionAsked, show: Show) -> Cassette:
    if request.agent is not None:
        await client.make_agent(request.agent)
    session_id = str(request.body["session_id"])
    await client.start_session(request.body)
    others = _Others(client, session_id, request)
    async with beside(others.deciding()):
        while not others.is_done:
            async with contextlib.aclosing(followed(client, session_id, after=others.last)) as happening:
                async for one in happening:
                    if isinstance(one, Seen):
                        show(one)
                        await others.heard(one)
            await others.all_is_over()
    return await fetching.of_session_id(client, session_id)


class _Others:
    """The people of the recording: they say and decide what they said and decided, at the same places."""

    def __init__(self, client: Client, session_id: str, request: SessionAsked) -> None:
        self.is_done = False
        self.last = 0
        self._client = client
        self._session_id = session_id
        self._said = list(request.said)
        self._decisions = list(request.decisions)
        self._answers = 0
        self._open: set[str] = set()

    async def deciding(self) -> None:
        """Decides about the calls that wait, also those of sessions that this one started."""
        while True:
            for one in await self._client.approvals(state="waiting"):
                await self._decide(one["session_id"], one["tool_use_id"])
            await asyncio.sleep(_LOOKED_EVERY_S)

    async def heard(self, seen: Seen) -> None:
        """Does what belongs behind an event."""
        self.last = seen.told["id"]
        match seen.event:
            case MessageSent(role="assistant") as said:
                self._answers += 1
                self._open = {str(block["id"]) for block in said.content if block.get("type") == "tool_use"}
            case ToolReturned(tool_use_id=str(use)):
                self._open.discard(use)
        if not isinstance(seen.event, (SessionStarted, *ENDS)):
            await self._speak(seen.event)

    async def all_is_over(self) -> None:
        """Goes on with what was said when all had ended before; ``is_done`` when there was no more."""
        ahead = next((one for one in self._said if one.resumed), None)
        if ahead is None:
            self.is_done = True
            return
        self._said.remove(ahead)
        await self._say(ahead)

    async def _speak(self, event: Event | None) -> None:
        """Says what was said while the answer that the model is asked for now was on its way."""
        if self._open or event is None:
            return
        going_on = min((one.during for one in self._said if one.resumed), default=math.inf)
        now = [one for one in self._said if not one.resumed and one.during == self._answers + 1 <= going_on]
        for one in now:
            self._said.remove(one)
            await asyncio.sleep(_ASKED_AFTER_S)
            await self._say(one)

    async def _say(self, said: Said) -> None:
        await self._client.message(self._session_id, {"text": said.text})

    async def _decide(self, session_id: str, tool_use_id: str) -> None:
        """What nobody was asked about then is not allowed now."""
        decision = next((one for one in self._decisions if one.tool_use_id == tool_use_id), None)
        if decision is not None:
            self._decisions.remove(decision)
        else:
            decision = Decision(tool_use_id=tool_use_id, approved=False, reason="nobody was asked in the recording")
        body = {"approve": decision.approved, "reason": decision.reason, "by": decision.by}
        told = {name: value for name, value in body.items() if value is not None}
        await self._client.decide(session_id, tool_use_id, told)


async def _task(client: Client, request: TaskAsked, lab: Lab, frame: Frame) -> Cassette:
    task_id = await client.start(request.body)
    async with contextlib.aclosing(client.frames(task_id)) as frames:
        async for one in frames:
            frame(one)
    return await fetching.of_task_id(NatsSettings(nats_url=lab.site.nats_url), task_id)
