"""The inside of a flash tool's process: takes the order, obeys commands, says where the work is."""

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn, TypeVar

import msgspec

from benchwire.flash_agent.tools.pieces import Piece
from benchwire.flash_agent.tools.throttle import Throttle
from benchwire.flash_agent.tools.worker_protocol import (
    At,
    Command,
    Done,
    Failed,
    FlashState,
    Order,
    Paused,
    PauseDeferred,
    Resumed,
    Saying,
    Stage,
    Throttled,
    Verified,
)

O = TypeVar("O", bound=Order)  # noqa: E741

KEEP_ALIVE_S = 5.0  # how often the board is spoken to, and the agent, while the tool holds
CONNECTED = "the board has answered and the image is checked"
ERASED = "the chip is erased"


class ToolError(Exception):
    """The tool cannot go on: ``code`` for programs, the text for people."""

    def __init__(self, code: str, error: str) -> None:
        super().__init__(error)
        self.code = code


class Cancelled(Exception):
    """The agent asked for the end, and this is a safe place for it."""


class Owner:
    """The agent, as the tool sees it.

    ``keep_alive`` speaks to the board, so that a connection that must not fall asleep stays awake while the tool holds, and one that is
    lost is noticed; whatever it raises ends the job.
    """

    def __init__(
        self, commands: BinaryIO, says: BinaryIO, *, max_bytes_per_s: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.flash_state: FlashState = "untouched"
        self.keep_alive: Callable[[], None] | None = None
        self._commands = commands
        self._says = says
        self._clock = clock
        self._saying = threading.Lock()  # the commands thread answers, too
        self._news = threading.Condition()
        self._paused = False
        self._cancelled = False
        self._go = threading.Event()
        self._throttle = Throttle(max_bytes_per_s, now_s=clock())
        self._busy_until: str | None = CONNECTED
        self._at = At(flash_state="untouched", stage="connecting")
        self._stage_began_s = clock()
        self._block_began_s = clock()
        self._spent_s: dict[Stage, float] = {}

    # -- commands

    def listen(self) -> None:
        """Obeys commands from now on, in a thread of its own."""
        threading.Thread(target=self._listen, name="commands", daemon=True).start()

    def _listen(self) -> None:
        for line in self._commands:
            self.obey(msgspec.json.decode(line, type=Command))
        os._exit(1)  # the owner is gone: nobody is left to flash for, and a blocking tool has no other exit

    def obey(self, command: Command) -> None:
        """Notes what is wanted; it takes effect at the next safe place, and is said to be late when that is far."""
        deferred = None
        with self._news:
            match command.do:
                case "go":
                    self._go.set()
                case "pause":
                    if not self._paused and self._busy_until is not None:
                        deferred = PauseDeferred(
                            flash_state=self.flash_state, stage=self._at.stage, until=self._busy_until
                        )
                    self._paused = True
                case "resume":
                    self._paused = False
                case "cancel":
                    self._cancelled = True
                case "throttle":
                    self._throttle.limit(command.max_bytes_per_s, now_s=self._clock())
            self._news.notify_all()
        if deferred is not None:
            self.say(deferred)
        if command.do == "throttle":
            self.say(Throttled(flash_state=self.flash_state, max_bytes_per_s=self._throttle.max_bytes_per_s))

    # -- where the work is

    def say(self, saying: Saying) -> None:
        """One line to the agent."""
        with self._saying:
            self._says.write(msgspec.json.encode(saying) + b"\n")
            self._says.flush()

    def stage(
        self, stage: Stage, *, done_bytes: int = 0, total_bytes: int = 0, flash_state: FlashState | None = None,
        until: str | None = None,
    ) -> None:  # fmt: skip
        """The next stage begins, and brings the flash into ``flash_state``. A safe place to hold or to end.

        One that was left comes again with the ``done_bytes`` it had. ``until`` says when the next safe place comes, where that is not with
        the next block.
        """
        self.checkpoint()
        self.flash_state = flash_state or self.flash_state
        with self._news:
            self._busy_until = until
        spent_s = self._spent_s.get(stage, 0.0)
        self._at = At(
            flash_state=self.flash_state, stage=stage, done_bytes=done_bytes, total_bytes=total_bytes, spent_s=spent_s
        )
        self._block_began_s = self._clock()
        self._stage_began_s = self._block_began_s - spent_s
        with self._news:
            self._throttle.begin(self._block_began_s)
        self.say(self._at)

    @contextmanager
    def busy(self, until: str) -> Iterator[None]:
        """For a call that blocks for long: who asks for a pause hears at once that it begins ``until``."""
        with self._news:
            before, self._busy_until = self._busy_until, until
        try:
            yield
        finally:
            with self._news:
                self._busy_until = before

    def step_bytes(self, most: int) -> int:
        """How large the next block should be at most, as the limit is now."""
        with self._news:
            return self._throttle.step_bytes(most)

    def progress(self, done_bytes: int) -> None:
        """A block is done. A safe place to hold or to end; progress that would go back is not told. Waits where there is a limit."""
        done_bytes = min(done_bytes, self._at.total_bytes)
        moved_bytes = max(0, done_bytes - self._at.done_bytes)
        if self._at.stage == "writing":
            self._pay(moved_bytes)
        if moved_bytes:
            self._at = msgspec.structs.replace(self._at, done_bytes=done_bytes, flash_state=self.flash_state)
            self._say_at()
        self.checkpoint()
        self._block_began_s = self._clock()

    def _say_at(self) -> None:
        spent_s = round(self._clock() - self._stage_began_s, 6)
        self._spent_s[self._at.stage] = spent_s
        self._at = msgspec.structs.replace(self._at, spent_s=spent_s)
        self.say(self._at)

    def _pay(self, moved_bytes: int) -> None:
        """Waits until what was written since the last block is within the limit, whatever that becomes meanwhile."""
        with self._news:
            self._throttle.spend(moved_bytes, began_s=self._block_began_s)
        while True:
            with self._news:
                left_s = self._throttle.paid_s - self._clock()
                if left_s <= 0 or self._paused or self._cancelled:
                    return
                woken = self._news.wait(min(left_s, KEEP_ALIVE_S))
            if not woken and left_s > KEEP_ALIVE_S:
                self._touch()
                self._say_at()

    def _touch(self) -> None:
        if self.keep_alive is not None:
            self.keep_alive()

    def checkpoint(self) -> None:
        """Holds here while the agent wants that. Raises ``Cancelled``."""
        if self._paused and not self._cancelled:
            self._hold()
        if self._cancelled:
            raise Cancelled

    def _hold(self) -> None:
        held_from_s = self._clock()
        self.say(Paused(flash_state=self.flash_state))
        while True:
            with self._news:
                if not self._paused or self._cancelled:
                    break
                woken = self._news.wait(KEEP_ALIVE_S)
            if not woken:
                self._touch()
        goes_on_s = self._clock()
        self._stage_began_s += goes_on_s - held_from_s
        with self._news:
            self._throttle.begin(goes_on_s)
        if not self._cancelled:
            self.say(Resumed(flash_state=self.flash_state))

    def verified(self, by: str) -> None:
        """The flash holds the image; returns when the board may boot."""
        self.flash_state = "complete"
        self.checkpoint()
        with self._news:
            self._busy_until = "the job is over: everything is written and verified"
        self.say(Verified(flash_state="complete", verified_by=by))
        self._go.wait()
        self._at = At(flash_state="complete", stage="resetting")
        self.say(self._at)


def pieces_of(order: Order, image: bytes) -> list[Piece]:
    """The segments of ``order`` with their bytes."""
    ends = itertools.accumulate(one.size_bytes for one in order.segments)
    return [
        Piece(one.address, image[end - one.size_bytes : end], one.partition)
        for one, end in zip(order.segments, ends, strict=True)
    ]


def run(kind: type[O], flash: Callable[[O, bytes, Owner], None]) -> NoReturn:
    """The process: one order, the bytes of its segments, one ending."""
    says = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the tool prints for people must not get between our lines
    commands = sys.stdin.buffer
    order = msgspec.json.decode(commands.readline(), type=kind)
    image = commands.read(order.size_bytes)
    owner = Owner(commands, says, max_bytes_per_s=order.max_bytes_per_s)
    owner.listen()
    owner.say(At(flash_state="untouched", stage="connecting"))
    try:
        flash(order, image, owner)
        owner.say(Done(flash_state=owner.flash_state))
        ending = 0
    except Cancelled:
        owner.say(Failed(flash_state=owner.flash_state, code="cancelled", error="it was cancelled"))
        ending = 0
    except ToolError as error:
        owner.say(Failed(flash_state=owner.flash_state, code=error.code, error=str(error)))
        ending = 1
    sys.stderr.flush()
    os._exit(ending)  # the commands thread sits in a read that no interpreter shutdown can interrupt
