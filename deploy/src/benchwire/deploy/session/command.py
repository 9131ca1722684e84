"""The command that is watched: what it prints is shown and spooled, what this process is told is handed on to it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from typing import IO, Any

from benchwire.deploy.session.spool import Decoder, Spool
from benchwire.events import child

CHUNK_BYTES = 32_768
_QUIET_S = 1.0
_HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Signals:
    """What this process is told is handed on to the command; once that is over, it means that nobody wants to wait any longer."""

    def __init__(self) -> None:
        self.given_up = asyncio.Event()
        self._group: int | None = None
        self._is_over = False
        self._early: list[signal.Signals] = []

    def command_runs(self, group: int) -> None:
        """The command is there, and leads that process group; it is told what came before."""
        self._group = group
        for number in self._early:
            self._hear(number)

    def command_is_over(self) -> None:
        """There is nobody any more to hand anything on to."""
        self._is_over = True

    @contextlib.contextmanager
    def handled(self) -> Generator[None, None, None]:
        """Takes signals for the time of the context."""
        loop = asyncio.get_running_loop()
        for number in _HANDED_ON:
            loop.add_signal_handler(number, self._hear, number)
        try:
            yield
        finally:
            for number in _HANDED_ON:
                loop.remove_signal_handler(number)

    def _hear(self, number: signal.Signals) -> None:
        if self._is_over:
            self.given_up.set()
        elif self._group is None:
            self._early.append(number)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, number)


async def printed(process: asyncio.subprocess.Process, spool: Spool) -> None:
    """Shows and spools what the command prints, until it and all that it left in its group have ended."""
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as tasks:
        over = tasks.create_task(_over(process))
        tasks.create_task(_copied(process.stdout, sys.stdout.buffer, spool, over))
        tasks.create_task(_copied(process.stderr, sys.stderr.buffer, spool, over))


def shell_code(code: int) -> int:
    """An exit code as a shell reports it: 128 + n for a program that signal n ended."""
    return 128 - code if code < 0 else code


@contextlib.asynccontextmanager
async def beside(work: Any) -> AsyncGenerator[asyncio.Task[Any], None]:
    """Runs ``work`` until it ends or the block is left; what it raises is raised then."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def _over(process: asyncio.subprocess.Process) -> None:
    await child.exited(process)
    await child.stop_tree(process)  # what it left behind in its group would keep the pipes, and the session, for ever


async def _copied(stream: asyncio.StreamReader, terminal: IO[bytes], spool: Spool, over: asyncio.Task[None]) -> None:
    decoder = Decoder()
    data = b"-"
    while data:
        data = await _next(stream, over)
        await asyncio.to_thread(_show, terminal, data)
        if text := decoder.text(data):
            await spool.put(text)


async def _next(stream: asyncio.StreamReader, over: asyncio.Task[None]) -> bytes:
    """What comes next; nothing at the end, and when the command is over and whoever slipped away with its pipe is silent."""
    async with beside(stream.read(CHUNK_BYTES)) as reading:
        await asyncio.wait([reading, over], return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            await asyncio.wait([reading], timeout=_QUIET_S)
        return reading.result() if reading.done() else b""


def _show(terminal: IO[bytes], data: bytes) -> None:
    try:
        terminal.write(data)
        terminal.flush()
    except OSError:  # the pipe or the terminal is gone, and nobody looks here any more; the lab still does
        os.dup2(os.open(os.devnull, os.O_WRONLY), terminal.fileno())
