"""Connections to a virtual board's sockets: each has a task of its own, and all of them can be dropped at once."""

import asyncio
from collections.abc import Awaitable, Callable

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Connections:
    """Hand `accept` to `asyncio.start_server` or `start_unix_server`. The tasks belong to `tasks`."""

    def __init__(self, tasks: asyncio.TaskGroup, talk: Talk) -> None:
        self._tasks = tasks
        self._talk = talk
        self._open: set[asyncio.Task[None]] = set()

    # Not a coroutine: asyncio would run that in a task that nobody owns, and complain when it is cancelled.
    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection until either side is done with it."""
        task = self._tasks.create_task(self._serve(reader, writer), name="connection")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def drop(self) -> None:
        """Close every connection, in the middle of whatever it is doing."""
        dropped = set(self._open)
        for task in dropped:
            task.cancel()
        if dropped:
            await asyncio.wait(dropped)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except ConnectionError:
            pass  # the other side left: there is nobody to tell
        finally:
            writer.close()
