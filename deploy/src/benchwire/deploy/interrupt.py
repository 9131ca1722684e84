"""Commands that a person ends with Ctrl-C, in order and without a traceback."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

INTERRUPTED = 130  # what a shell reports for a program that SIGINT ended


def run(main: Callable[[], Coroutine[Any, Any, int]], *, when_told: int = INTERRUPTED) -> int:
    """Runs ``main`` for its exit code. SIGINT, SIGTERM and SIGHUP (the terminal is gone) cancel it, once; the exit code is then ``when_told``."""
    return asyncio.run(_until_told(main, when_told))


async def _until_told(main: Callable[[], Coroutine[Any, Any, int]], when_told: int) -> int:
    running = asyncio.ensure_future(main())
    told = asyncio.Event()

    def tell() -> None:
        if not told.is_set():  # a second Ctrl-C must not break the orderly end that the first one began
            told.set()
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, tell)
    try:
        return await running
    except asyncio.CancelledError:
        if not told.is_set():
            raise
        return when_told


def still_wanted() -> None:
    """Ends the command here if it was told to end.

    Up to Python 3.11 a cancel that meets an `asyncio.wait_for` whose result is just there is lost (python/cpython#86296), and the
    clients of NATS wait that way. So a command that has made its connections asks once more before it waits for long.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
