"""The text of an event: what people look for in it, without the JSON around it."""

from collections.abc import Iterator
from typing import Any

from benchwire.events.event import Event
from benchwire.events.session import (
    MessageSent,
    SessionEnded,
    SessionFailed,
    SessionStopped,
    ToolCalled,
    ToolDecided,
    ToolReturned,
)

MOST_CHARACTERS = 16_384
_FROM_THE_END = 4_096  # what went wrong often stands last
# Of a block of a message: its kind, its ids, and bytes in base64.
_NOT_SAID = frozenset({"type", "id", "tool_use_id", "signature", "data", "media_type", "cache_control"})
# In UTF-8; all other characters have no byte below 32 in them.
_WITHOUT_CONTROLS = bytes(code if code >= 32 or code in b"\t\n" else 32 for code in range(256))


def text_of(event: Event) -> str:
    """What is looked for in ``event``, a line for each piece; empty when it says nothing. Of a long one the beginning and the end."""
    match event:
        case MessageSent():
            pieces = _leaves(event.content, _NOT_SAID)
        case ToolCalled():
            pieces = iter((event.tool_name, *_leaves(event.tool_input)))
        case ToolReturned():
            pieces = iter((event.tool_name, *_leaves(event.tool_input), *_leaves(event.tool_output), event.error or ""))
        case SessionEnded() | SessionStopped() | SessionFailed() | ToolDecided():
            pieces = iter((event.reason or "",))
        case _:
            return ""
    # Control characters would be taken for the marks around what was found. In bytes that costs a fifth of what it does in characters.
    text = _cut("\n".join(piece for piece in pieces if piece and not piece.isspace()))
    return text.encode(errors="surrogatepass").translate(_WITHOUT_CONTROLS).decode(errors="surrogatepass")


def _leaves(value: Any, left_out: frozenset[str] = frozenset()) -> Iterator[str]:
    """The strings and numbers in ``value``, in their order, however deep they are."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        match one:
            case str():
                yield one
            case dict():
                waiting += reversed([inner for key, inner in one.items() if key not in left_out])
            case list():
                waiting += reversed(one)
            case bool() | None:
                continue
            case _:
                yield str(one)


def _cut(text: str) -> str:
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[: MOST_CHARACTERS - _FROM_THE_END]}\n…\n{text[-_FROM_THE_END:]}"
