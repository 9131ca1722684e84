"""A session as a person reads it: what was said, which tools ran and what came of it, what it cost, how it ended. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from benchwire.deploy.story import sentence, shown
from benchwire.events.event import Event
from benchwire.events.journal import printable
from benchwire.events.session import (
    MessageRequested,
    MessageSent,
    ModelUsed,
    SessionEnded,
    SessionFailed,
    SessionStarted,
    SessionStopped,
    ToolApprovalRequested,
    ToolCalled,
    ToolDecided,
    ToolReturned,
)

OUTPUT_LINES = 12
_LINE_CHARS = 200
_TEXT, _OUTPUT = "    ", "    | "

ENDS = (SessionEnded, SessionFailed, SessionStopped)


def lines(event: Event, *, whole: bool = False) -> list[str]:
    """What ``event`` says, the first line with its local time; ``whole`` does not shorten what tools said. Empty for what need not be said."""
    head, *body = list(_said(event, whole=whole)) or [""]
    return [f"{event.timestamp.astimezone():%H:%M:%S}  {head}", *body] if head else []


def _said(event: Event, *, whole: bool) -> Iterator[str]:  # noqa: C901 - one line per kind of event
    match event:
        case MessageSent():
            if words := text_of(event.content):
                yield shown(event.role, 20)
                yield from (f"{_TEXT}{printable(line)}" for line in words.splitlines())
        case MessageRequested():
            yield f"to be heard at the next turn: {sentence(event)}"
        case ToolCalled():
            yield sentence(event)
        case ToolReturned():
            how = "failed" if event.error is not None else "answered"
            took = "" if event.duration_s is None else f" after {event.duration_s:.1f} s"
            yield f"{shown(event.tool_name, 40)} {how}{took}"
            yield from _output(event.error if event.error is not None else event.tool_output, whole=whole)
        case ToolApprovalRequested():
            yield sentence(event)
            yield f"{_TEXT}benchwire session approve {event.session_id} {event.tool_use_id}   (or deny)"
        case ToolDecided():
            yield sentence(event)
        case ModelUsed():
            yield f"({sentence(event)})"
        case SessionStarted():
            yield f"started: {sentence(event)}"
        case SessionEnded():
            yield f"finished, {sentence(event)}"
        case SessionFailed():
            yield f"failed{f' ({shown(event.code, 40)})' if event.code else ''}: {shown(event.reason, 2000)}"
        case SessionStopped():
            yield f"stopped{f': {shown(event.reason)}' if event.reason else ''}"


def text_of(content: Sequence[dict[str, Any]]) -> str:
    """The words of a message; its calls and their results are told where they happen, and of other blocks it is told that they are there."""
    told = []
    for block in content:
        match block.get("type"):
            case "text":
                told.append(str(block.get("text", "")))
            case "tool_use" | "tool_result":
                continue
            case other:
                told.append(f"[{other}]")
    return "\n".join(filter(None, told))


def output_text(output: Any) -> str:
    """What a tool said, as text: it may be words, blocks of the Messages API, or any JSON."""
    if output is None:
        return ""
    if isinstance(output, str):
        return output
    if isinstance(output, list) and output and all(isinstance(one, dict) and "type" in one for one in output):
        return text_of(output)
    return msgspec.json.format(msgspec.json.encode(output)).decode()


def _output(output: Any, *, whole: bool) -> Iterator[str]:
    said = output_text(output).splitlines()
    if whole:
        yield from (f"{_OUTPUT}{printable(line)}" for line in said)
        return
    for line in said[:OUTPUT_LINES]:
        cut = line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 1]}…"
        yield f"{_OUTPUT}{printable(cut)}"
    if len(said) > OUTPUT_LINES:
        yield f"{_OUTPUT}… {len(said) - OUTPUT_LINES} more lines"


def totals(events: Sequence[Event]) -> str:
    """What all of it cost, in one line; empty when no model was asked."""
    used = [one for one in events if isinstance(one, ModelUsed)]
    if not used:
        return ""
    tokens_in = sum(one.input_tokens + one.cache_creation_input_tokens + one.cache_read_input_tokens for one in used)
    calls = sum(isinstance(one, ToolCalled) for one in events)
    return f"{len(used)} model calls, {tokens_in} tokens in, {sum(one.output_tokens for one in used)} out; {calls} tool calls"
