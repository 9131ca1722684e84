"""A session's events as a cassette: what was asked, each answer with what came of it, what people said and decided, the end. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from benchwire.deploy.recording import NotRecordable
from benchwire.deploy.scripted.cassette import (
    VERSION,
    Cassette,
    Conversation,
    Decision,
    End,
    Result,
    Said,
    SessionAsked,
    Spoken,
)
from benchwire.deploy.scripted.wire import Usage
from benchwire.events.event import Event
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStarted,
    SessionStopped,
    ToolDecided,
    ToolReturned,
)

_ASKED = ("session_id", "session_name", "prompt", "agent_name", "model", "max_turns", "budget", "ask_before")


def cassette_of(
    events: Sequence[Event], *, agent: dict[str, Any] | None = None, children: Sequence[Sequence[Event]] = ()
) -> Cassette:
    """The cassette of a session, and of the ``children`` that it started; ``agent`` is its recipe. Raises ``NotRecordable``."""
    own = _read(events)
    below = [one for one in map(_read, children) if one.request is not None]
    request = own.request
    if request is None or own.is_fork:
        raise NotRecordable(_why_not(own))
    return Cassette(
        cassette=VERSION,
        about=f"the session {request.session_name}",
        recorded_from=request.session_id,
        recorded_at=request.timestamp.isoformat(),
        model=own.model,
        request=SessionAsked(
            body=_body(request, own.model),
            agent=agent,
            said=own.said,
            decisions=[decision for one in (own, *below) for decision in one.decisions],
        ),
        end=own.end,
        conversation=[one.conversation() for one in (own, *below)],
    )


def _read(events: Sequence[Event]) -> "_Reader":
    reader = _Reader()
    for event in events:
        reader.take(event)
    return reader


def _why_not(own: "_Reader") -> str:
    if own.is_fork:
        return "it goes on from the middle of another session; record that one"
    return "no agent of this lab ran it: what its model was asked is not in the log"


def _body(request: SessionRequested, model: str) -> dict[str, Any]:
    """What ``POST /sessions`` would be told; not what belongs to the lab that it ran in. ``model`` is what its runner took."""
    told = {name: msgspec.to_builtins(getattr(request, name)) for name in _ASKED}
    told["model"] = request.model or model or None
    return {name: value for name, value in told.items() if value not in (None, [])}


class _Reader:
    """Takes the events of one session in their order."""

    def __init__(self) -> None:
        self.request: SessionRequested | None = None
        self.is_fork = False
        self.model = ""
        self.said: list[Said] = []
        self.decisions: list[Decision] = []
        self.end: End | None = None
        self._turns: list[Spoken] = []
        self._prompts: set[str] = set()

    def conversation(self) -> Conversation:
        """What its model was asked, and said."""
        assert self.request is not None
        return Conversation(name=self.request.session_name, first=self.request.prompt, turn=self._turns)

    def take(self, event: Event) -> None:  # noqa: C901 - one line per kind of event
        """One event."""
        match event:
            case SessionStarted(forked_from_session_id=str()):
                self.is_fork = True
            case SessionRequested():
                self._asked(event)
            case MessageSent(role="assistant"):
                self._turns.append(Spoken(content=event.content))
            case MessageSent(message_id=str(name)) if name not in self._prompts:
                self.said.append(Said(text=_words(event), during=len(self._turns)))
            case ModelUsed(stop_reason=str()):
                self._used(event)
            case ToolReturned():
                self._returned(event)
            case ToolDecided():
                self.decisions.append(
                    Decision(tool_use_id=event.tool_use_id, approved=event.approved, reason=event.reason, by=event.by)
                )
            case SessionEnded():
                self.end = End(status="finished", reason=event.reason)
            case SessionFailed():
                self.end = End(status="failed", reason=event.reason, code=event.code)
            case SessionStopped():
                self.end = End(status="stopped", reason=event.reason)

    def _asked(self, event: SessionRequested) -> None:
        """The first request is what it began with; those after it went on when all had ended."""
        if event.message_id is not None:
            self._prompts.add(event.message_id)
        if self.request is None:
            self.request = event
        else:
            self.said.append(Said(text=event.prompt, during=len(self._turns), resumed=True))
            self.end = None

    def _used(self, event: ModelUsed) -> None:
        """What an answer cost is written right behind it."""
        self.model = self.model or event.model
        if self._turns and self._turns[-1].usage is None:
            usage = Usage(
                input_tokens=event.input_tokens, output_tokens=event.output_tokens,
                cache_creation_input_tokens=event.cache_creation_input_tokens,
                cache_read_input_tokens=event.cache_read_input_tokens,
            )  # fmt: skip
            self._turns[-1] = replace(self._turns[-1], usage=usage, stop_reason=event.stop_reason or "")

    def _returned(self, event: ToolReturned) -> None:
        if self._turns:
            came = Result(name=event.tool_name, id=event.tool_use_id or "", output=event.tool_output, error=event.error)
            self._turns[-1] = replace(self._turns[-1], results=[*self._turns[-1].results, came])


def _words(event: MessageSent) -> str:
    return "\n".join(str(block.get("text", "")) for block in event.content if block.get("type") == "text")
