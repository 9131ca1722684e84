"""The file that the player plays: a cassette, version 1, as JSON or TOML.

A cassette holds conversations, each with the model's answers in their order, and says to which requests they belong; so several may go on at
once. One that was recorded also holds what was asked for, what tools, people, compilers and simulators said between the answers, and how it
ended: enough to run it again without a key, and to see what is different. A file of loose ``turn`` tables and nothing else, without a
version, is a script: the first turn that fits is the answer.
"""

from pathlib import Path
from typing import Any

import msgspec

from benchwire.deploy.scripted.wire import Answer, Request, ToolCall, Usage, spoken, spoken_last

VERSION = 1
MAX_BYTES = 256 * 1024 * 1024  # all of it is held in memory, several times over

ENDED = (
    "I am the player of Benchwire's cassettes. The conversation that this one holds is at its end, and here it is asked for more: it went "
    "another way than it was recorded."
)


class CassetteError(ValueError):
    """A cassette that cannot be used; the sentence names the file and what is wrong."""


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An error that the endpoint answers with, e.g. status 529 and type ``overloaded_error``."""

    status: int
    type: str
    message: str = "scripted"


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What came of a turn: of the tool call ``id``, or, of a node of a task, of the compiler, the simulator or the tests."""

    name: str
    id: str = ""
    output: Any = None
    error: str | None = None


class Spoken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One answer.

    It is ``content``, blocks as the Messages API shapes them; or ``text``, then the content of ``text_file`` (beside the cassette; a ``.c`` file
    in a fenced block), then ``tool`` calls. ``usage`` is what it cost, ``results`` are what came of it. ``delay_s`` passes before the first byte,
    ``pause_s`` between two deltas. With ``error`` that is the answer.
    """

    text: str = ""
    text_file: str = ""
    tool: ToolCall | list[ToolCall] = []
    content: list[dict[str, Any]] = []
    stop_reason: str = ""
    usage: Usage | None = None
    results: list[Result] = []
    error: Failure | None = None
    delay_s: float = 0.0
    pause_s: float = 0.0

    @property
    def calls(self) -> list[ToolCall]:
        """The tool calls that are written out, in order."""
        return self.tool if isinstance(self.tool, list) else [self.tool]

    @property
    def answer(self) -> Answer:
        """What is sent."""
        uses = bool(self.calls) or any(block.get("type") == "tool_use" for block in self.content)
        reason = self.stop_reason or ("tool_use" if uses else "end_turn")
        return Answer(text=self.text, calls=self.calls, stop_reason=reason, content=self.content, usage=self.usage)


class Turn(Spoken, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An answer that belongs to no conversation, and when it fits; all given conditions have to hold.

    ``contains`` occurs in the conversation (every one of a list), ``last`` in its last message; ``attempt`` is 1 plus the number of
    assistant messages; ``times`` is how often this turn is given at all. A tool is called only when the request offers it.
    """

    contains: str | list[str] = []
    last: str = ""
    attempt: int | None = None
    times: int | None = None

    def fits(self, request: Request) -> bool:
        """Whether the conditions hold, ``times`` aside."""
        offered = {tool.name for tool in request.tools}
        return (
            self.attempt in (None, request.attempt)
            and _contains(self.contains, request)
            and self.last in request.last_text
            and all(call.name in offered for call in self.calls)
        )


class Conversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Answers in their order, and which requests they are for: all given conditions have to hold.

    ``first`` is the text of the first message, or a part of it; ``contains`` occurs somewhere in the request (every one of a list);
    ``structured`` says whether an answer of a given shape is asked for. Where a request stands in the conversation is told by its last
    answer, or else by how many answers it holds. ``repeats``: the last answer is given again to whoever asks for more.
    """

    name: str
    first: str = ""
    contains: str | list[str] = []
    structured: bool | None = None
    repeats: bool = False
    turn: list[Spoken]

    def fits(self, request: Request) -> bool:
        """Whether ``request`` belongs to it."""
        return (
            self.structured in (None, request.structured)
            and self.first in request.first_text
            and _contains(self.contains, request)
        )

    def next(self, request: Request) -> Spoken:
        """The answer to ``request``; one that says so when there is none left."""
        place = self._place(request)
        if place < len(self.turn):
            return self.turn[place]
        return self.turn[-1] if self.repeats and self.turn else Spoken(text=ENDED)

    def _place(self, request: Request) -> int:
        """A client may leave out what was said long ago, so that counting alone does not tell."""
        counted, said = request.attempt - 1, spoken_last(request)
        behind = [
            number + 1 for number, turn in enumerate(self.turn) if said is not None and spoken(turn.answer) == said
        ]
        return min(behind, key=lambda place: abs(place - counted), default=counted)


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person said later on: while the answer of number ``during`` was on its way, or ``resumed``, behind it, when all had ended."""

    text: str
    during: int = 0
    resumed: bool = False


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a person decided about a tool call."""

    tool_use_id: str
    approved: bool
    reason: str | None = None
    by: str | None = None


class End(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How it ended: ``finished``, ``failed`` (``code`` is for programs), ``stopped`` or ``cancelled``."""

    status: str
    reason: str | None = None
    code: str | None = None


class SessionAsked(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="session", tag_field="kind"
):  # fmt: skip
    """A session: ``body`` is that of ``POST /sessions``, ``agent`` that of ``POST /agents`` for the recipe that it was started from.

    ``decisions`` are what people decided, in their order; also about calls of sessions that it started.
    """

    body: dict[str, Any]
    agent: dict[str, Any] | None = None
    said: list[Said] = []
    decisions: list[Decision] = []


class TaskAsked(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="task", tag_field="kind"
):  # fmt: skip
    """A task: ``body`` is that of ``POST /tasks``."""

    body: dict[str, Any]


class Cassette(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file. ``request`` and ``end`` are there when it was recorded, of the session or task ``recorded_from``."""

    cassette: int | None = None
    about: str = ""
    recorded_from: str = ""
    recorded_at: str = ""
    model: str = ""
    request: SessionAsked | TaskAsked | None = None
    end: End | None = None
    conversation: list[Conversation] = []
    turn: list[Turn] = []


def load(path: Path) -> Cassette:
    """The cassette in ``path``, JSON when its name says so and TOML otherwise; texts beside it are read. Raises ``CassetteError``."""
    try:
        cassette = _decoded(_read(path), is_json=path.suffix == ".json")
        return msgspec.structs.replace(
            cassette,
            conversation=[
                msgspec.structs.replace(one, turn=[_with_file(turn, path.parent) for turn in one.turn])
                for one in cassette.conversation
            ],
            turn=[_with_file(turn, path.parent) for turn in cassette.turn],
        )
    except OSError as error:
        raise CassetteError(f"{error.filename or path}: {error.strerror or error}") from error
    except (ValueError, RecursionError, msgspec.MsgspecError, CassetteError) as error:
        raise CassetteError(f"{path}: {error}") from error


def dumped(cassette: Cassette) -> bytes:
    """The cassette as JSON that a person can read and change."""
    return msgspec.json.format(msgspec.json.encode(cassette)) + b"\n"


class _Version(msgspec.Struct):
    """What is read first: a newer cassette may hold what is not known here."""

    cassette: Any = None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        body = file.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise CassetteError(f"it is larger than {MAX_BYTES // 1024**2} MiB, which no cassette is")
    return body


def _decoded(body: bytes, *, is_json: bool) -> Cassette:
    decode: Any = msgspec.json.decode if is_json else msgspec.toml.decode
    version = decode(body, type=_Version).cassette
    if version not in (None, VERSION):
        newer = isinstance(version, int) and version > VERSION
        raise CassetteError(
            f"it is a cassette of version {version}, and version {VERSION} is played{'; is this Benchwire too old?' if newer else ''}"
        )
    read: Cassette = decode(body, type=Cassette)
    if read.cassette is None and (read.conversation or read.request):
        raise CassetteError(f"it does not say its version; a cassette begins with `cassette = {VERSION}`")
    return read


def _beside(folder: Path, name: str) -> str:
    """The text of a file beside a cassette, and not of any other: a cassette may come from somebody else."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise CassetteError(f"its text_file {name[:100]!r} is no file in {folder}")
    return _read(path).decode()


def _with_file(turn: Any, folder: Path) -> Any:
    if not turn.text_file:
        return turn
    content = _beside(folder, turn.text_file)
    if turn.text_file.endswith(".c"):
        content = f"```c\n{content.rstrip()}\n```"
    return msgspec.structs.replace(turn, text="\n\n".join(filter(None, [turn.text, content])))


def _contains(texts: str | list[str], request: Request) -> bool:
    needed = [texts] if isinstance(texts, str) else texts
    return all(text in request.text for text in needed)
