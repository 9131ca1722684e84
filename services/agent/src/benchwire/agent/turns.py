"""The turns of a conversation with tools: the SDK's tool runner has the loop, the log has every step."""

import time
from datetime import UTC, datetime
from typing import Any

from anthropic.lib.streaming import BetaAsyncMessageStream
from anthropic.types.beta import BetaMessage

from benchwire.agent.claim import Claim
from benchwire.agent.errors import ClaimLost, ModelFailed
from benchwire.agent.model import Model
from benchwire.agent.toolbox import Calls, Tool, Use
from benchwire.events.live import SessionDelta
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.session import MessageSent, ModelUsed, SessionRequested


async def taken(
    model: Model,
    messages: Any,
    tools: list[Tool],
    calls: Calls,
    *,
    system: str,
    request: SessionRequested,
    claim: Claim,
) -> str | None:
    """Lets the model go on from ``messages``. None when it came to its end, else why it did not. Raises ``ModelFailed``, and what the log raises."""
    last: BetaMessage | None = None
    try:
        # thread=False: the whole conversation travels each time, so that any endpoint serves and any runner can go on.
        runner = model.client.beta.messages.tool_runner(
            model=model.name, max_tokens=model.max_tokens, system=system, messages=messages, tools=tools,
            max_iterations=request.max_turns, stream=True, thread=False,
        )  # fmt: skip
        turn = _Turn(claim, request, calls, tools)
        try:
            async for stream in runner:
                last = await turn.heard(stream)
                if last.stop_reason == "tool_use":
                    await runner.generate_tool_call_response()  # runs the tools now; the runner keeps the results
                    calls.check()
        finally:
            await runner.close()  # and with it the HTTP stream, if one is open
    except (ClaimLost, LogUnavailable, EventTooLarge, ModelFailed):
        raise
    except Exception as error:
        raise model.failed(error) from error
    return _why_not_done(last, request.max_turns)


class _Turn:
    """Writes down what the model says, one message after the other."""

    def __init__(self, claim: Claim, request: SessionRequested, calls: Calls, tools: list[Tool]) -> None:
        self._claim = claim
        self._request = request
        self._calls = calls
        self._names = {tool.name for tool in tools}

    async def heard(self, stream: BetaAsyncMessageStream[None]) -> BetaMessage:
        started = time.monotonic()
        async for text in stream.text_stream:
            await self._claim.sample(SessionDelta(timestamp=_now(), session_id=self._request.session_id, text=text))
        message = await stream.get_final_message()
        await self._said(message, time.monotonic() - started)
        uses = [Use(one.id, one.name, dict(one.input)) for one in message.content if one.type == "tool_use"]
        self._calls.expect(uses)
        if message.stop_reason == "tool_use":
            for use in uses:
                if use.name not in self._names:
                    await self._calls.missing(use)
        return message

    async def _said(self, message: BetaMessage, duration_s: float) -> None:
        session_id = self._request.session_id
        content = [one.model_dump(mode="json", exclude_none=True) for one in message.content]
        for block in content:
            block.pop("parsed_output", None)  # the SDK's own addition; the API would refuse it
        await self._claim.append(
            MessageSent(
                timestamp=_now(),
                session_id=session_id,
                session_name=self._request.session_name,
                role="assistant",
                content=content,
            )
        )
        usage = message.usage
        await self._claim.append(
            ModelUsed(
                timestamp=_now(), session_id=session_id, model=message.model,
                input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
                cache_creation_input_tokens=usage.cache_creation_input_tokens or 0,
                cache_read_input_tokens=usage.cache_read_input_tokens or 0,
                stop_reason=message.stop_reason, duration_s=round(duration_s, 3),
            )
        )  # fmt: skip


def _why_not_done(last: BetaMessage | None, max_turns: int) -> str | None:
    match last.stop_reason if last is not None else None:
        case "end_turn" | "stop_sequence":
            return None
        case "tool_use" | "pause_turn":
            return f"the session used all of its {max_turns} turns"
        case "max_tokens" | "model_context_window_exceeded":
            return "the model's answer was cut at its token limit; ask for less at once, or raise BENCHWIRE_MODEL_MAX_TOKENS"
        case "refusal":
            return "the model declined to go on"
        case other:
            return f"the model's answer ended with {other or 'nothing'}"


def _now() -> datetime:
    return datetime.now(UTC)
