"""A script of prepared turns, read from TOML: which answer fits which conversation."""

from collections import Counter
from pathlib import Path

import msgspec

from benchwire.deploy.scripted.wire import Answer, Request, ToolCall

DEFAULT = Path(__file__).with_name("demo.toml")

UNKNOWN = (
    "I am the scripted model that comes with Benchwire: I only know the demo, and nothing in it fits what you ask. "
    "Set ANTHROPIC_API_KEY and start the lab again to talk to a real model."
)


class ScriptError(ValueError):
    """A script that cannot be used; the sentence names the file and what is wrong."""


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An error that the endpoint answers with, e.g. status 529 and type ``overloaded_error``."""

    status: int
    type: str
    message: str = "scripted"


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prepared answer and when it fits; all given conditions have to hold.

    ``contains`` occurs in the conversation (every one of a list), ``last`` in its last message; ``attempt`` is 1 plus the number of
    assistant messages; ``times`` is how often this turn is given at all. A tool is called only when the request offers it.
    The answer is ``text``, then the content of ``text_file`` (beside the script; a ``.c`` file in a fenced block), then ``tool`` calls.
    ``delay_s`` passes before the first byte, ``pause_s`` between two deltas.
    """

    contains: str | list[str] = []
    last: str = ""
    attempt: int | None = None
    times: int | None = None
    text: str = ""
    text_file: str = ""
    tool: ToolCall | list[ToolCall] = []
    stop_reason: str = ""
    error: Failure | None = None
    delay_s: float = 0.0
    pause_s: float = 0.0

    @property
    def calls(self) -> list[ToolCall]:
        """The tool calls, in order."""
        return self.tool if isinstance(self.tool, list) else [self.tool]

    @property
    def answer(self) -> Answer:
        """What is sent."""
        reason = self.stop_reason or ("tool_use" if self.calls else "end_turn")
        return Answer(text=self.text, calls=self.calls, stop_reason=reason)

    def fits(self, request: Request) -> bool:
        """Whether the conditions hold, ``times`` aside."""
        needed = [self.contains] if isinstance(self.contains, str) else self.contains
        offered = {tool.name for tool in request.tools}
        return (
            self.attempt in (None, request.attempt)
            and all(text in request.text for text in needed)
            and self.last in request.last_text
            and all(call.name in offered for call in self.calls)
        )


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    turn: list[Turn]


class Script:
    """The turns in their order; the first that fits is the answer."""

    def __init__(self, turns: list[Turn]) -> None:
        self._turns = turns
        self._given: Counter[int] = Counter()

    def choose(self, request: Request) -> Turn:
        """The turn that answers ``request``; one that says so when the script has none."""
        for number, turn in enumerate(self._turns):
            if turn.fits(request) and (turn.times is None or self._given[number] < turn.times):
                self._given[number] += 1
                return turn
        return Turn(text=UNKNOWN)


def load(path: Path = DEFAULT) -> Script:
    """The script in ``path``. Raises ``ScriptError``."""
    try:
        turns = msgspec.toml.decode(path.read_bytes(), type=_File).turn
        return Script([_with_file(turn, path.parent) for turn in turns])
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise ScriptError(f"{path}: {error}") from error


def _with_file(turn: Turn, folder: Path) -> Turn:
    if not turn.text_file:
        return turn
    content = (folder / turn.text_file).read_text()
    if turn.text_file.endswith(".c"):
        content = f"```c\n{content.rstrip()}\n```"
    return msgspec.structs.replace(turn, text="\n\n".join(filter(None, [turn.text, content])))
