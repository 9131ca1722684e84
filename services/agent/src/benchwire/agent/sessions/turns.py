"""The turns of a conversation: what the log says comes next is done, and written to the log, until the model is done and nobody has more to say.

Each turn is one round of the SDK's tool runner, over the conversation as the log has it: so it does not matter whether this runner or another
one made the turn before, whether an answer broke off on its way, or what a person said in between.
"""

import time
from collections.abc import Callable
from typing import Any

from anthropic.lib.streaming import BetaAsyncMessageStream
from anthropic.types.beta import BetaMessage

from benchwire.agent.errors import ClaimLost, GivenUp, ModelFailed
from benchwire.agent.model.model import Model, asks
from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.sessions.conversation import Step, conversation, is_said, next_step, text
from benchwire.agent.sessions.hearing import Ear, Heard
from benchwire.agent.sessions.transcript import Transcript, now
from benchwire.agent.work import Work
from benchwire.events.live import SessionDelta
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.session import MessageSent, ModelUsed, SessionEnded

_WORDLESS = "the model ended its last turn without a word"


class Turns:
    """One run of a session. ``affordable`` raises ``GivenUp`` when the model must not be asked once more."""

    def __init__(
        self, model: Model, tools: list[Tool], calls: Calls, transcript: Transcript, work: Work, *,
        system: str, affordable: Callable[[], None],
    ) -> None:  # fmt: skip
        self._model = model
        self._tools = tools
        self._calls = calls
        self._transcript = transcript
        self._work = work
        self._system = system
        self._affordable = affordable
        self._began = time.monotonic()

    async def run(self) -> None:
        """Goes on to the end, and writes that. Raises ``GivenUp``, ``ModelFailed``, and what the log raises."""
        while True:
            self._collect()
            session = self._transcript.session
            step = next_step(session)
            if step is Step.CALL:
                await self._calls.taken_over(self._tools)
            elif step is Step.DONE and not session.letters:
                if await self._ended():
                    return
            else:
                if not (session.said and session.said[-1].stop_reason == "pause_turn"):  # that has to stay last
                    await self._take_in()
                await self._turn()

    # -- one turn

    async def _turn(self) -> None:
        async for attempt in asks():
            with attempt:
                await self._asked()

    async def _asked(self) -> None:
        self._affordable()  # each time: an answer that broke off has to be paid for, too
        messages: Any = conversation(self._transcript.session)
        if not messages:
            raise GivenUp("the session has no prompt", "agent")
        # thread=False: the whole conversation travels each time, so that any endpoint serves and any runner can go on.
        runner = self._model.client.beta.messages.tool_runner(
            model=self._model.name, max_tokens=self._model.max_tokens, messages=messages, tools=self._tools,
            max_iterations=1, stream=True, thread=False, **self._model.prefix(self._system),
        )  # fmt: skip
        try:
            async for stream in runner:
                heard = await self._heard(stream)
                await self._said(heard)
                if heard.stop_reason == "tool_use" and heard.uses:
                    await self._calls.expect(heard.uses, {tool.name for tool in self._tools})
                    await runner.generate_tool_call_response()
                    self._calls.check()
                break
        except (ClaimLost, LogUnavailable, EventTooLarge, ModelFailed):
            raise
        except Exception as error:
            raise self._model.broke_off(error) or self._model.failed(error) from error
        finally:
            await runner.close()  # and with it the HTTP stream, if one is open

    async def _heard(self, stream: BetaAsyncMessageStream[None]) -> Heard:
        """The whole answer. Of one that breaks off, or is broken off, nothing is written but what it cost.

        Raises ``ModelFailed``, and what the SDK and the log raise.
        """
        self._began = time.monotonic()
        ear = Ear(stream, self._tell, self._transcript.claim.log.bus.door)
        heard: Heard | None = None
        try:
            heard = await ear.whole()
        finally:
            if heard is None and ear.so_far is not None:
                await self._used(ear.so_far, None)
        if heard is None:
            raise self._model.cut_short
        return heard

    async def _tell(self, words: str) -> None:
        await self._transcript.claim.sample(
            SessionDelta(timestamp=now(), session_id=self._transcript.session_id, text=words)
        )

    # -- what is written

    def _collect(self) -> None:
        """Takes in what people wrote since the session was claimed."""
        for letter in self._work.letters:
            self._transcript.saw(letter)
        self._work.letters.clear()

    async def _take_in(self) -> None:
        """What people said becomes a part of the conversation."""
        for letter in list(self._transcript.session.letters.values()):
            await self._transcript.write(
                MessageSent(
                    timestamp=now(), session_id=self._transcript.session_id, session_name=self._transcript.request.session_name,
                    role="user", content=text(letter.text), message_id=letter.message_id,
                )
            )  # fmt: skip

    async def _said(self, heard: Heard) -> None:
        await self._transcript.write(
            MessageSent(
                timestamp=now(), session_id=self._transcript.session_id, session_name=self._transcript.request.session_name,
                role="assistant", content=heard.content,
            )
        )  # fmt: skip
        await self._used(heard.message, heard.stop_reason)

    async def _used(self, message: BetaMessage, stop_reason: str | None) -> None:
        usage = message.usage
        await self._transcript.write(
            ModelUsed(
                timestamp=now(), session_id=self._transcript.session_id, model=message.model,
                input_tokens=usage.input_tokens, output_tokens=usage.output_tokens,
                cache_creation_input_tokens=usage.cache_creation_input_tokens or 0,
                cache_read_input_tokens=usage.cache_read_input_tokens or 0,
                stop_reason=stop_reason, duration_s=round(time.monotonic() - self._began, 3),
            )
        )  # fmt: skip

    async def _ended(self) -> bool:
        """Writes the end of the session; False when somebody has something to say to it, which is then taken in."""
        session = self._transcript.session
        is_wordless = bool(session.said) and not any(map(is_said, session.said[-1].content))
        end = SessionEnded(
            timestamp=now(), session_id=self._transcript.session_id, session_name=self._transcript.request.session_name,
            reason=_WORDLESS if is_wordless else None,
        )  # fmt: skip
        with self._work.ending():
            letters = await self._transcript.claim.end(end, taken=session.taken)
        if not letters:
            return True
        for letter in letters:
            self._transcript.saw(letter)
        self._work.goes_on()
        return False
