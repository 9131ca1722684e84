"""The inside of a flash tool's process: takes the order, obeys commands, says where the work is."""

import os
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO, NoReturn, TypeVar

import msgspec

from benchwire.flash_agent.tools.worker_protocol import (
    At,
    Command,
    Done,
    Failed,
    FlashState,
    Order,
    Paused,
    Resumed,
    Saying,
    Stage,
    Verified,
)

O = TypeVar("O", bound=Order)  # noqa: E741


class ToolError(Exception):
    """The tool cannot go on: ``code`` for programs, the text for people."""

    def __init__(self, code: str, error: str) -> None:
        super().__init__(error)
        self.code = code


class Cancelled(Exception):
    """The agent asked for the end, and this is a safe place for it."""


class Owner:
    """The agent, as the tool sees it."""

    def __init__(self, commands: BinaryIO, says: BinaryIO) -> None:
        self.flash_state: FlashState = "untouched"
        self._commands = commands
        self._says = says
        self._running = threading.Event()
        self._running.set()
        self._go = threading.Event()
        self._cancelled = False
        self._at = At(flash_state="untouched", stage="connecting")

    def listen(self) -> None:
        """Obeys commands from now on, in a thread of its own."""
        threading.Thread(target=self._obey, name="commands", daemon=True).start()

    def _obey(self) -> None:
        for line in self._commands:
            match msgspec.json.decode(line, type=Command).do:
                case "go":
                    self._go.set()
                case "pause":
                    self._running.clear()
                case "resume":
                    self._running.set()
                case "cancel":
                    self._cancelled = True
                    self._running.set()
        os._exit(1)  # the owner is gone: nobody is left to flash for, and a blocking tool has no other exit

    def say(self, saying: Saying) -> None:
        """One line to the agent."""
        self._says.write(msgspec.json.encode(saying) + b"\n")
        self._says.flush()

    def stage(self, stage: Stage, *, total_bytes: int = 0, flash_state: FlashState | None = None) -> None:
        """The next stage begins, and brings the flash into ``flash_state``. A safe place to hold or to end."""
        self.checkpoint()
        self.flash_state = flash_state or self.flash_state
        self._at = At(flash_state=self.flash_state, stage=stage, total_bytes=total_bytes)
        self.say(self._at)

    def progress(self, done_bytes: int) -> None:
        """A block is done. A safe place to hold or to end; progress that would go back is not told."""
        done_bytes = min(done_bytes, self._at.total_bytes)
        if done_bytes > self._at.done_bytes:
            self._at = msgspec.structs.replace(self._at, done_bytes=done_bytes, flash_state=self.flash_state)
            self.say(self._at)
        self.checkpoint()

    def checkpoint(self) -> None:
        """Holds here while the agent wants that. Raises ``Cancelled``."""
        if not self._running.is_set():
            self.say(Paused(flash_state=self.flash_state))
            self._running.wait()
            if not self._cancelled:
                self.say(Resumed(flash_state=self.flash_state))
        if self._cancelled:
            raise Cancelled

    def verified(self, by: str) -> None:
        """The flash holds the image; returns when the board may boot."""
        self.flash_state = "complete"
        self.checkpoint()
        self.say(Verified(flash_state="complete", verified_by=by))
        self._go.wait()
        self.say(At(flash_state="complete", stage="resetting"))


def run(kind: type[O], flash: Callable[[O, bytes, Owner], None]) -> NoReturn:
    """The process: one order, one image, one ending."""
    says = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the tool prints for people must not get between our lines
    commands = sys.stdin.buffer
    order = msgspec.json.decode(commands.readline(), type=kind)
    image = commands.read(order.size_bytes)
    owner = Owner(commands, says)
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
