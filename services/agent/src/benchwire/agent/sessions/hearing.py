"""One answer of the model, heard as it streams: its text goes to whoever listens, and the whole of it comes back, or the reason why there is none."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import msgspec
from anthropic.lib.streaming import BetaAsyncMessageStream
from anthropic.types.beta import BetaMessage

from benchwire.agent import fitting
from benchwire.agent.beside import beside
from benchwire.agent.model.model import Length
from benchwire.agent.session import Turn
from benchwire.agent.sessions.conversation import Use
from benchwire.events.redaction import Door, Speech

# In which what is spoken is collected: a message for each token would be too many, and nobody reads faster.
EVERY_S = 0.05
_SHOWN_CHARS = 200

Stream = BetaAsyncMessageStream[None]
Tell = Callable[[str], Awaitable[None]]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: its blocks as the API takes them back, and the calls in it."""

    content: list[Turn]
    uses: list[Use]
    stop_reason: str
    message: BetaMessage


class Ear:
    """Hears one answer; ``tell`` gets its text in pieces, without the secrets that ``door`` takes out."""

    def __init__(self, stream: Stream, tell: Tell, door: Door) -> None:
        self._stream = stream
        self._voice = _Voice(tell, Speech(door))
        self._inputs: dict[int, str] = {}
        self._length = Length()
        self._is_cut = False

    async def whole(self) -> Heard | None:
        """The answer; None when it ended without saying why. Raises ``ModelFailed`` for one without end, and what the SDK and its transport raise."""
        async with self._voice.speaking():
            try:
                async for event in self._stream:
                    self._take(event)
            except ValueError as error:
                self._forgive(error)
        message = self.so_far
        assert message is not None, "an answer begins with the start of a message"  # the SDK has none otherwise
        if self._is_cut:
            return self._heard(message, "tool_use")
        return None if message.stop_reason is None else self._heard(message, message.stop_reason)

    @property
    def so_far(self) -> BetaMessage | None:
        """What there is of the answer."""
        try:
            return self._stream.current_message_snapshot
        except AssertionError:  # which is how the SDK says that there is nothing
            return None

    def _take(self, event: Any) -> None:
        if event.type != "content_block_delta":
            return
        if event.delta.type == "text_delta":
            self._voice.say(event.delta.text)
            self._length.add(event.delta.text)
        elif event.delta.type == "input_json_delta":
            self._inputs[event.index] = self._inputs.get(event.index, "") + event.delta.partial_json
            self._length.add(event.delta.partial_json)
        elif event.delta.type == "thinking_delta":
            self._length.add(event.delta.thinking)

    def _forgive(self, error: ValueError) -> None:
        """A call whose input is no JSON is one that the model should hear of. The SDK reads it as it comes, and stops there."""
        message = self.so_far
        is_of_the_stream = isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
        if is_of_the_stream or message is None or not message.content or message.content[-1].type != "tool_use":
            raise error
        last = len(message.content) - 1
        self._inputs[last] = self._inputs.get(last, "") + "…"  # what comes here is what the SDK could not read
        self._is_cut = True

    def _heard(self, message: BetaMessage, stop_reason: str) -> Heard:
        content: list[Turn] = []
        uses: list[Use] = []
        for number, block in enumerate(message.content):
            said = fitting.well_formed(block.model_dump(mode="json", exclude_none=True, warnings=False))
            said.pop("parsed_output", None)  # the SDK's own addition; the API would refuse it
            if block.type == "tool_use":
                sent = self._inputs.get(number) or json.dumps(block.input)
                if (problem := _problem(sent)) is not None:
                    # Half of an input must not run, and the API takes back nothing that is no object.
                    said["input"] = {}
                uses.append(Use(said["id"], said["name"], said["input"], problem))
            content.append(said)
        return Heard(content=content, uses=uses, stop_reason=stop_reason, message=message)


def _problem(sent: str) -> str | None:
    """What is wrong with the input of a call, as it was sent; None when nothing is."""
    try:
        is_object = isinstance(json.loads(sent), dict)
    except (ValueError, RecursionError) as error:
        return f"The input of this call is not valid JSON ({error}): {_shown(sent)}."
    return None if is_object else f"The input of this call has to be a JSON object, not {_shown(sent)}."


def _shown(sent: str) -> str:
    shown = sent if len(sent) <= _SHOWN_CHARS else sent[:_SHOWN_CHARS] + "…"
    return str(fitting.well_formed(shown))


class _Voice:
    """Passes on what is said, at once when nothing was said for a while, and what comes soon after in one piece."""

    def __init__(self, tell: Tell, speech: Speech) -> None:
        self._tell = tell
        self._speech = speech
        self._pieces: list[str] = []
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    def say(self, text: str) -> None:
        """Text that was just spoken."""
        self._pieces.append(text)
        self._news.set()

    @contextlib.asynccontextmanager
    async def speaking(self) -> AsyncGenerator[None, None]:
        """Passes on for the time of the block; all that was said has been passed on afterwards, unless the block raises."""
        async with beside(self._pass_on()) as passing:
            yield
            self._over.set()
            self._news.set()
            await passing

    async def _pass_on(self) -> None:
        while not (self._over.is_set() and not self._pieces):
            await self._news.wait()
            self._news.clear()
            said = "".join(self._pieces)
            self._pieces.clear()
            await self._pass(self._speech.said(said))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._over.wait()
        await self._pass(self._speech.rest())

    async def _pass(self, said: str) -> None:
        if said:
            await self._tell(str(fitting.well_formed(said)))
