"""The firmware in flash, running: what the chip asks of whatever runs it."""

import asyncio
from typing import Protocol


class CannotRun(Exception):
    """What was flashed fits the chip, but not what simulates it; the message is a sentence for a person."""


class App(Protocol):
    """At most one run at a time. It prints on the board's port and hears what is sent there."""

    starts: int

    @property
    def running(self) -> bool:
        """Whether a program runs now."""

    @property
    def pid(self) -> int | None:
        """The emulator's process id, when it is a process of its own."""

    async def start(self, image: bytes, tasks: asyncio.TaskGroup) -> None:
        """Boot `image`, the whole of the chip's program flash. What serves the run belongs to `tasks`. Raises `CannotRun`."""

    async def stop(self) -> None:
        """Take the program away, if one runs; what it printed last may be lost, as on a chip."""

    def explain(self) -> str | None:
        """Why nothing runs, in words; None while there is nothing to explain."""
