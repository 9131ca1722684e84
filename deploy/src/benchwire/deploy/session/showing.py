"""A session on a terminal, or in a pipe: what it was so far, and what happens as it happens."""

import contextlib
import sys
from datetime import datetime

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy.calling import TERMINATED, print_json
from benchwire.deploy.client import Client
from benchwire.deploy.ending import say
from benchwire.deploy.hardware.asked import console
from benchwire.deploy.session import conversation
from benchwire.deploy.session.following import Delta, Seen, followed, known, seen
from benchwire.deploy.story import shown
from benchwire.events.event import Event
from benchwire.events.journal import printable
from benchwire.events.session import MessageSent

_CODES = {"failed": 1, "stopped": TERMINATED}
_INDENT = "    "
_HEAD = ("status", "agent_name", "project_dir", "parent_session_id")


class Shower:
    """Shows events one by one; ``whole`` does not shorten what tools said."""

    def __init__(self, *, json: bool, whole: bool = False) -> None:
        self._json = json
        self._whole = whole
        self._spoken = ""  # of an answer that is on its way, and on the terminal
        self._events: list[Event] = []

    @property
    def deltas(self) -> bool:
        """Whether what the model is about to say can be shown: a pipe gets it when it is whole."""
        return self._json or sys.stdout.isatty()

    def show(self, one: Seen | Delta) -> None:
        """Shows what happened."""
        if self._json:
            print_json({"type": "delta", "text": one.text} if isinstance(one, Delta) else one.told)
        elif isinstance(one, Delta):
            self._speak(one.text)
        elif one.event is not None:
            self._events.append(one.event)
            self._tell(one.event)

    def head(self, session: dict[str, object]) -> None:
        """Shows which session it is."""
        if self._json:
            print_json(session)
            return
        told = " ".join(shown(session[name], 60) for name in _HEAD if session.get(name))
        name = session.get("session_name")
        named = "" if name == session["session_id"] else f" ({shown(name, 60)})"
        console().print(f"{shown(session['session_id'])}{named}  {told}")

    def foot(self) -> None:
        """Shows what all of it cost."""
        if not self._json and (total := conversation.totals(self._events)):
            console().print(total)

    def _speak(self, text: str) -> None:
        begins = "" if self._spoken else f"{datetime.now():%H:%M:%S}  assistant\n{_INDENT}"  # noqa: DTZ005 - as a person's clock has it
        self._spoken += text
        words = f"\n{_INDENT}".join(printable(line) for line in text.split("\n"))
        print(f"{begins}{words}", end="", flush=True)  # noqa: T201 - a command's own output

    def _tell(self, event: Event) -> None:
        spoken, self._spoken = self._spoken, ""
        if spoken:
            print(flush=True)  # noqa: T201 - what was spoken ends with its line
            said = isinstance(event, MessageSent) and conversation.text_of(event.content).strip()
            if said == spoken.strip():
                return
        for line in conversation.lines(event, whole=self._whole):
            console().print(line)


async def shown_until_over(client: Client, session_id: str, shower: Shower, *, after: int = 0) -> int:
    """Shows a session to its end; the exit code: 0 for one that finished, 1 for one that failed, 143 for one that was stopped."""
    async with contextlib.aclosing(followed(client, session_id, deltas=shower.deltas, after=after)) as happening:
        async for one in happening:
            shower.show(one)
    shower.foot()
    return _CODES.get((await known(client, session_id))["status"], 0)


async def shown_so_far(client: Client, session_id: str, shower: Shower) -> None:
    """Shows a session as it is now."""
    async for told in client.events(session_id):
        shower.show(seen(told))
    shower.foot()


async def stopped(client: Client, session_id: str) -> None:
    """Stops a session that nobody waits for any longer, and says what came of that."""
    try:
        told = await client.stop_session(session_id)
        say(f"{session_id}: {shown(told['message'], 400)}")
    except (NoLab, Refused) as error:
        say(f"{session_id} was not stopped: {error}")
