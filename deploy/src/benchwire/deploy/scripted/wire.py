"""The shapes of the Messages API, as far as an endpoint with prepared answers needs them."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

_PIECE_CHARS = 48  # of text in one delta; a real endpoint sends a few words at a time
_TEXT_PATHS = ("text", "content", "input")


class BadRequest(ValueError):
    """A request that the API would refuse; the sentence says where it is wrong."""


class Message(msgspec.Struct, frozen=True):
    """One message of the conversation; a block of content is what the client sent."""

    role: Literal["user", "assistant"]
    content: str | list[dict[str, Any]]

    def blocks(self, kind: str) -> list[dict[str, Any]]:
        """The blocks of that type."""
        return [] if isinstance(self.content, str) else [one for one in self.content if one.get("type") == kind]


class Tool(msgspec.Struct, frozen=True):
    """A tool that the client offers; server tools have a type and no schema."""

    name: str
    type: str = "custom"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/messages``."""

    model: str
    max_tokens: int
    messages: list[Message]
    system: str | list[dict[str, Any]] = ""
    tools: list[Tool] = []
    stream: bool = False
    output_config: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """All that was said, the system prompt first: what the conditions of a script look at."""
        return "\n".join([_text(self.system), *(_text(message.content) for message in self.messages)])

    @property
    def first_text(self) -> str:
        """What the first message says."""
        return _text(self.messages[0].content)

    @property
    def structured(self) -> bool:
        """Whether an answer of a given shape is asked for."""
        return bool((self.output_config or {}).get("format"))

    @property
    def last_text(self) -> str:
        """What the last message says."""
        return _text(self.messages[-1].content)

    @property
    def attempt(self) -> int:
        """Which answer of this conversation is asked for, from 1."""
        return 1 + sum(message.role == "assistant" for message in self.messages)


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of a client's tool."""

    name: str
    input: dict[str, Any]


class Usage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an answer cost, in tokens."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoint answers: ``content`` as it is, or else text, then tool calls. Without a ``usage`` the tokens are guessed."""

    text: str = ""
    calls: list[ToolCall] = []
    stop_reason: str = "end_turn"
    content: list[dict[str, Any]] = []
    usage: Usage | None = None


Essence = tuple[str, list[tuple[str, Any]]]


def spoken(answer: Answer) -> Essence:
    """What an answer says, by which it is known again: its words and its calls."""
    return _essence(_content(answer))


def spoken_last(request: Request) -> Essence | None:
    """What the last answer says that a request holds; None when it holds none."""
    said = [one.content for one in request.messages if one.role == "assistant"]
    if not said:
        return None
    return _essence([{"type": "text", "text": said[-1]}] if isinstance(said[-1], str) else said[-1])


def _essence(content: list[dict[str, Any]]) -> Essence:
    words = "".join(str(block.get("text", "")) for block in content if block.get("type") == "text")
    return words.strip(), [(block["name"], block["input"]) for block in content if block.get("type") == "tool_use"]


def parse(body: bytes) -> Request:
    """The request in ``body``. Raises ``BadRequest``."""
    try:
        request = msgspec.json.decode(body, type=Request)
    except msgspec.MsgspecError as error:
        raise BadRequest(_with_place(error)) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, nesting without end
        raise BadRequest(f"the body cannot be read: {error}") from error
    if request.max_tokens < 1:
        raise BadRequest("max_tokens: it has to be 1 or more")
    if not request.messages:
        raise BadRequest("messages: at least one message is required")
    for number, message in enumerate(request.messages):
        if not message.content:
            raise BadRequest(f"messages.{number}: the content is empty")
    _check_tool_results(request.messages)
    return request


def message(request: Request, answer: Answer) -> dict[str, Any]:
    """The whole answer, as it is sent without streaming."""
    return {
        **_head(request),
        "content": _content(answer),
        "stop_reason": answer.stop_reason,
        "usage": _usage(request, answer),
    }


def events(request: Request, answer: Answer) -> Iterator[bytes]:
    """The answer as server-sent events, in the order in which the API sends them."""
    usage = _usage(request, answer)
    yield _event("message_start", message=_head(request) | {"usage": usage | {"output_tokens": 1}})
    yield _event("ping")
    for index, block in enumerate(_content(answer)):
        yield from _block_events(index, block)
    end = {"stop_reason": answer.stop_reason, "stop_sequence": None}
    yield _event("message_delta", delta=end, usage={"output_tokens": usage["output_tokens"]})
    yield _event("message_stop")


def _block_events(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    empty: dict[str, Any]
    match block["type"]:
        case "text":
            empty, kind, name, whole = {"text": ""}, "text_delta", "text", str(block["text"])
        case "tool_use":
            empty, kind, name, whole = {"input": {}}, "input_json_delta", "partial_json", json.dumps(block["input"])
        case _:  # of the rest the clients take what the first event has
            empty, kind, name, whole = {}, "", "", ""
    yield _event("content_block_start", index=index, content_block=block | empty)
    for piece in _pieces(whole):
        yield _event("content_block_delta", index=index, delta={"type": kind, name: piece})
    yield _event("content_block_stop", index=index)


def error(kind: str, sentence: str) -> dict[str, Any]:
    """A refusal in the API's shape."""
    return {"type": "error", "error": {"type": kind, "message": sentence}, "request_id": _id("req")}


def model(name: str) -> dict[str, Any]:
    """One entry of the list of models."""
    return {"type": "model", "id": name, "display_name": "Scripted model", "created_at": "2026-01-01T00:00:00Z"}


def _check_tool_results(messages: list[Message]) -> None:
    """The API refuses a call without its result in the next message, and a result without its call in the one before."""
    called: set[str] = set()
    for number, one in enumerate(messages):
        answered = {str(block.get("tool_use_id")) for block in one.blocks("tool_result")}
        if missing := called - answered:
            raise BadRequest(f"messages.{number}: no tool_result for the tool_use {', '.join(sorted(missing))}")
        if stray := answered - called:
            raise BadRequest(
                f"messages.{number}: a tool_result for {', '.join(sorted(stray))}, which was not called just before"
            )
        called = {str(block.get("id")) for block in one.blocks("tool_use")}
    if called:
        raise BadRequest(f"messages.{len(messages)}: no tool_result for the tool_use {', '.join(sorted(called))}")


def _with_place(problem: Exception) -> str:
    sentence, _, place = str(problem).partition(" - at `$.")
    return f"{place.rstrip('`')}: {sentence}" if place else sentence


def _text(content: Any) -> str:
    """The text in a string, a block or a list of blocks, tool inputs and results included."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_text(one) for one in content)
    if isinstance(content, dict) and "type" in content:
        return "\n".join(_text(content[key]) for key in _TEXT_PATHS if key in content)
    return json.dumps(content)


def _head(request: Request) -> dict[str, Any]:
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _content(answer: Answer) -> list[dict[str, Any]]:
    if answer.content:
        return answer.content
    text: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    # The id follows from the call, so that what is streamed, sent whole and counted is the same block.
    calls = [
        {"type": "tool_use", "id": f"toolu_{number:02}{_digest(call)}", "name": call.name, "input": call.input}
        for number, call in enumerate(answer.calls)
    ]
    return text + calls


def _digest(call: ToolCall) -> str:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{call.name} {json.dumps(call.input, sort_keys=True)}").hex[:20]


def _usage(request: Request, answer: Answer) -> dict[str, int]:
    guessed = Usage(input_tokens=_tokens(request.text), output_tokens=_tokens(str(_content(answer))))
    return msgspec.structs.asdict(answer.usage or guessed)


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)  # the usual rule of thumb; nobody is charged


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE_CHARS):
        yield text[start : start + _PIECE_CHARS]


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex}"
