"""Two cassettes beside each other: what was recorded, and what came of playing it. Pure."""

import difflib
from collections.abc import Iterator

import msgspec

from benchwire.deploy.scripted.cassette import Cassette, Conversation, Result, SessionAsked, Spoken
from benchwire.deploy.session.conversation import output_text, text_of
from benchwire.events.journal import printable


def differences(recorded: Cassette, played: Cassette, *, lenient: bool = False) -> list[str]:
    """A diff of what was said and what came of it; empty when both are the same.

    ``lenient`` passes over what tools said, and looks at which were called, which of them failed, and how it ended.
    """
    before, after = (list(_told(one, lenient=lenient)) for one in (recorded, played))
    found = difflib.unified_diff(before, after, "recorded", "played", lineterm="", n=2)
    return [printable(line) for line in found]


def _told(cassette: Cassette, *, lenient: bool) -> Iterator[str]:
    said = cassette.request.said if isinstance(cassette.request, SessionAsked) else []
    conversations = cassette.conversation
    if isinstance(cassette.request, SessionAsked):
        conversations = conversations[:1]  # those of its children are told by what it heard of them
        yield from _worded("user", str(cassette.request.body.get("prompt", "")))
    for one in sorted(conversations, key=lambda one: one.name):
        if not isinstance(cassette.request, SessionAsked):
            yield f"== {one.name}"
        for number in range(len(one.turn) + 1):
            if number:
                yield from _of_turn(one.turn[number - 1], lenient=lenient)
            for word in (word for word in said if word.during == number):
                yield from _worded("user", word.text)
    if cassette.end is not None:
        yield f"end: {cassette.end.status}{f' ({cassette.end.code})' if cassette.end.code else ''}"
        if cassette.end.reason and not lenient:
            yield from _worded("because", cassette.end.reason)


def _of_turn(turn: Spoken, *, lenient: bool) -> Iterator[str]:
    content = turn.answer.content or [{"type": "text", "text": turn.text}]
    if words := text_of(content):
        yield from _worded("model", words)
    for block in content:
        if block.get("type") == "tool_use":
            yield f"call {block['name']} {msgspec.json.encode(block['input'], order='sorted').decode()}"
    for result in turn.results:
        yield from _of_result(result, lenient=lenient)


def _of_result(result: Result, *, lenient: bool) -> Iterator[str]:
    yield f"{result.name} {'failed' if result.error is not None else 'answered'}"
    if not lenient:
        said = result.error if result.error is not None else output_text(result.output)
        yield from (f"  | {line}" for line in said.splitlines())


def _worded(who: str, text: str) -> Iterator[str]:
    yield f"{who}:"
    yield from (f"  {line}" for line in text.splitlines())


def size_of(cassette: Cassette) -> str:
    """What a cassette holds, in a few words."""
    answers = sum(len(one.turn) for one in cassette.conversation)
    results = sum(len(turn.results) for one in cassette.conversation for turn in one.turn)
    return f"{_conversations(cassette.conversation)}, {answers} answers, {results} results"


def _conversations(found: list[Conversation]) -> str:
    return f"{len(found)} conversation{'s' * (len(found) != 1)}"
