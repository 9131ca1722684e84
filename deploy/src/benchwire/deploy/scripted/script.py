"""Plays a cassette: which answer belongs to which request."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchwire.deploy.scripted import cassette
from benchwire.deploy.scripted.cassette import CassetteError as ScriptError
from benchwire.deploy.scripted.cassette import Conversation, Spoken, Turn
from benchwire.deploy.scripted.wire import Request

__all__ = ["DEFAULT", "UNKNOWN", "Script", "ScriptError", "Turn", "load"]

DEFAULT = Path(__file__).with_name("demo.toml")

UNKNOWN = (
    "I am the scripted model that comes with Benchwire: I only know the demo, and nothing in it fits what you ask. "
    "Set ANTHROPIC_API_KEY and start the lab again to talk to a real model."
)


class Script:
    """Conversations and loose turns, each in their order; the first that fits is the answer, a conversation before a loose turn."""

    def __init__(self, turns: Sequence[Turn] = (), conversations: Sequence[Conversation] = ()) -> None:
        self._turns = turns
        self._conversations = conversations
        self._given: Counter[int] = Counter()

    def choose(self, request: Request) -> Spoken:
        """The turn that answers ``request``; one that says so when there is none."""
        for conversation in self._conversations:
            if conversation.fits(request):
                return conversation.next(request)
        for number, turn in enumerate(self._turns):
            if turn.fits(request) and (turn.times is None or self._given[number] < turn.times):
                self._given[number] += 1
                return turn
        return Spoken(text=UNKNOWN)


def load(path: Path = DEFAULT) -> Script:
    """The player of the cassette, or script, in ``path``. Raises ``ScriptError``."""
    read = cassette.load(path)
    return Script(read.turn, read.conversation)
