"""A session as a conversation: what the model is sent, and what comes next. Made from what the log says, and from nothing else."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

from msgspec import Struct

from benchwire.agent.errors import GivenUp
from benchwire.agent.session import Key, Said, Session, Turn, is_call
from benchwire.events.session import SessionRequested

INTERRUPTED = "The runner was interrupted before this call's result was recorded; it may or may not have taken effect."
_NOT_RUN = "This call was not run: the session ended before it."

# A conversation begins with a person; an outside client may have reported only what the assistant said.
_UNRECORDED: Turn = {"role": "user", "content": [{"type": "text", "text": "(What was asked here is not recorded.)"}]}


class Step(StrEnum):
    """What comes next in a conversation: the model is asked, the tools that it called run, or it is done."""

    ASK = "ask"
    CALL = "call"
    DONE = "done"


class Use(Struct, frozen=True):
    """A call as the model made it. ``problem`` is what is wrong with its input, when that is not what was sent."""

    id: str
    name: str
    input: dict[str, Any]
    problem: str | None = None


def next_step(session: Session) -> Step:
    """What comes next, as far as the conversation says. Raises ``GivenUp`` when it cannot go on."""
    last = session.said[-1] if session.said else None
    if last is None or last.role != "assistant":
        return Step.ASK
    if len(session.said) == session.run_at:  # said in an earlier run, and nothing was asked since
        return Step.DONE
    match last.stop_reason:
        case "pause_turn":
            return Step.ASK
        case "max_tokens":
            raise GivenUp(
                "the model's answer was cut at its token limit; ask for less at once, or raise BENCHWIRE_MODEL_MAX_TOKENS",
                "max_tokens",
            )
        case "model_context_window_exceeded":
            raise GivenUp(
                "the conversation is longer than what the model takes in; start a new session, with what matters of this one",
                "max_tokens",
            )
        case "refusal":
            raise GivenUp("the model declined to go on; ask for something else, or in another way", "refusal")
        case "tool_use" | "end_turn" | "stop_sequence" | None:
            # An answer that the runner before recorded, but not yet why it stopped there, is taken for what it looks like.
            calls = any(is_call(block) for block in last.content) and last.stop_reason in ("tool_use", None)
            if not calls:
                return Step.DONE
            return Step.CALL if open_uses(session) else Step.ASK
        case other:
            raise GivenUp(f"the model's answer ended with {other}, which this agent runner does not know", "model")


def open_uses(session: Session) -> list[Use]:
    """The calls of the last message that have no result yet, in their order."""
    return [use for use in uses_of(session.said[-1].content) if session.key(use.id) not in session.results]


def uses_of(content: list[Turn]) -> list[Use]:
    """The calls in a message."""
    return [Use(block["id"], block["name"], block["input"]) for block in content if is_call(block)]


def conversation(session: Session) -> list[Turn]:
    """The messages to go on with: every tool call has its result, and roles take turns.

    A call whose result is not in the log gets an error as its result: its effect is unknown, so it is not run a second time unasked. What an
    outside client reported is put into the same order: each result right behind its call. An answer that the model declined to finish
    is left out: it would decline again.
    """
    reported = _reported(session.said)
    times: dict[str, int] = {}
    messages: list[Turn] = []
    for one in session.said:
        if one.stop_reason == "refusal":
            continue
        _add(messages, {"role": one.role, "content": [block for block in one.content if is_said(block)]})
        uses = [block["id"] for block in one.content if is_call(block)]
        for use in uses:
            times[use] = times.get(use, 0) + 1
        results = [reported.get(use) or _result_of(session, (use, times[use]), one) for use in uses]
        _add(messages, {"role": "user", "content": results})
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, _UNRECORDED)
    if session.request is not None and not session.prompt_sent:
        _add(messages, prompt(session.request))
    return messages


def _result_of(session: Session, call: Key, said: Said) -> Turn:
    use, number = call
    if (result := session.results.get(call)) is not None:
        return result
    if number == 1 and (early := session.results.get((use, 0))) is not None:
        return early  # an outside client may report a result before the call
    # Of what an outside client did nobody knows whether it began.
    is_not_run = call not in session.begun and said.stop_reason is not None
    content = _NOT_RUN if is_not_run else INTERRUPTED
    return {"type": "tool_result", "tool_use_id": use, "content": content, "is_error": True}


def _reported(said: Iterable[Said]) -> dict[str, Turn]:
    return {use: block for block in _results(said) if isinstance(use := block.get("tool_use_id"), str)}


def _results(said: Iterable[Said]) -> Iterator[Turn]:
    for one in said:
        if one.role == "user":
            yield from (block for block in one.content if block.get("type") == "tool_result")


def is_said(block: Turn) -> bool:
    """Whether the API takes the block where it stands; results have their own place, and it refuses an empty text."""
    match block.get("type"):
        case "tool_result":
            return False
        case "tool_use":
            return is_call(block)
        case "text":
            return bool(block.get("text"))
        case _:
            return True


def prompt(request: SessionRequested) -> Turn:
    """What was asked, as a message."""
    return {"role": "user", "content": text(request.prompt)}


def text(words: str) -> list[Turn]:
    """Words as the content of a message."""
    return [{"type": "text", "text": words}]


def _add(messages: list[Turn], turn: Turn) -> None:
    if not turn["content"]:  # a model may say nothing, but must not be reminded of it: the API refuses an empty message
        return
    if messages and messages[-1]["role"] == turn["role"]:
        messages[-1] = {"role": turn["role"], "content": [*messages[-1]["content"], *turn["content"]]}
    else:
        messages.append(turn)
