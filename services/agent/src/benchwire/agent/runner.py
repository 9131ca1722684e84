"""One session: the model speaks and uses tools until it is done; the SDK's tool runner has the loop, the log has every step."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anthropic.lib.streaming import BetaAsyncMessageStream
from anthropic.types.beta import BetaMessage

from benchwire.agent.claim import Claim
from benchwire.agent.errors import ClaimLost, ModelFailed
from benchwire.agent.folders import Folders
from benchwire.agent.model import NOT_CONFIGURED, Model
from benchwire.agent.sandbox import Sandbox
from benchwire.agent.session import Session, conversation, prompt
from benchwire.agent.settings import Settings
from benchwire.agent.toolbox import Calls, Tool, Use, toolbox
from benchwire.events.live import SessionDelta
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStarted,
)

SYSTEM = (
    "You work in a hardware lab, in a directory of your own, with the tools you are given. There is no network. "
    "Do what is asked, check it, and end with a short account of what you did and what came of it."
)

End = SessionEnded | SessionFailed
SystemPrompt = Callable[[str], Awaitable[str | None]]


class Runner:
    """Runs sessions with one model and one sandbox. ``system_prompt`` looks up a blueprint's."""

    def __init__(
        self, settings: Settings, model: Model | None, sandbox: Sandbox, system_prompt: SystemPrompt, folders: Folders
    ) -> None:
        self._settings = settings
        self._folders = folders
        self._model = model
        self._sandbox = sandbox
        self._system_prompt = system_prompt

    async def run(self, session: Session, claim: Claim) -> End:
        """Runs ``session`` from where it stands; returns the event that ends it, not yet written.

        Raises ``ClaimLost``, ``LogUnavailable`` and ``EventTooLarge``. A cancel closes the model's stream and ends what a tool runs.
        """
        request = session.request
        assert request is not None, "a claim stands after a request"
        await self._started(session, request, claim)
        if self._model is None:
            return SessionFailed(timestamp=_now(), session_id=request.session_id, reason=NOT_CONFIGURED)
        workdir = self._folders.of(request.session_id)
        try:
            await asyncio.to_thread(workdir.mkdir, parents=True, exist_ok=True)
            problem = await self._converse(self._model.named(request.model), session, request, claim, workdir)
        except ModelFailed as error:
            problem = str(error)
        except OSError as error:
            problem = f"the agent runner could not work on it: {error}"
        if problem is None:
            return SessionEnded(timestamp=_now(), session_id=request.session_id, session_name=request.session_name)
        return SessionFailed(timestamp=_now(), session_id=request.session_id, reason=problem)

    async def _started(self, session: Session, request: SessionRequested, claim: Claim) -> None:
        await claim.append(
            SessionStarted(
                timestamp=_now(), session_id=request.session_id, session_name=request.session_name,
                project_dir=request.project_dir, agent_name=request.agent_name, parent_session_name=request.parent_session_name,
            )
        )  # fmt: skip
        if not session.prompt_sent:
            await claim.append(
                MessageSent(
                    timestamp=_now(),
                    session_id=request.session_id,
                    session_name=request.session_name,
                    **prompt(request),
                )
            )

    async def _converse(
        self, model: Model, session: Session, request: SessionRequested, claim: Claim, workdir: Path
    ) -> str | None:
        """None when the model came to its end, else why it did not. Raises ``ModelFailed``."""
        messages: Any = conversation(session)
        if not messages:
            return "the session has no prompt"
        if messages[-1]["role"] == "assistant":
            return None  # the last answer was whole when the runner before was interrupted
        calls = Calls(claim, request.session_id)
        owner = f"{self._settings.runner}/{request.session_id}"
        tools = toolbox(calls, workdir, self._sandbox, timeout_s=self._settings.shell_timeout_s, owner=owner)
        system = (await self._system_prompt(request.agent_name) if request.agent_name else None) or SYSTEM
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
