"""Functions in processes of their own, so that whoever makes load shares no interpreter with what is measured.

A function here is a coroutine function of a module in ``benchmarks``; it takes and returns what JSON can say. One that has to be told
something meanwhile writes a line when it is ready, and reads lines from its standard input.
"""

import asyncio
import contextlib
import importlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from benchwire.events import child

ROOT = Path(__file__).parents[1]
_LONGEST_LINE = 1 << 26
# Services and load take no settings from whoever runs the benchmarks.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("BENCHWIRE_", "NATS_", "ANTHROPIC_", "OTEL_"))
}  # fmt: skip


class Apart:
    """A function that runs in a process of its own, and can be told something."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def heard(self) -> Any:
        """The next thing that it says. Raises ``RuntimeError`` when it has ended."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("a process of the benchmark ended early; what it wrote says why")
        return json.loads(line)

    async def ask(self, what: Any) -> Any:
        """Its answer to ``what``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        return await self.heard()


@contextlib.asynccontextmanager
async def started(function: Callable[..., Awaitable[Any]], **arguments: Any) -> AsyncGenerator[Apart, None]:
    """Runs ``function`` until the context is left."""
    called = f"{function.__module__}:{function.__name__}"
    argv = [sys.executable, "-m", "benchmarks.apart", called, json.dumps(arguments)]
    async with child.spawn(
        argv, cwd=ROOT, env=ENVIRONMENT, stdin=child.PIPE, stdout=child.PIPE, limit_bytes=_LONGEST_LINE
    ) as process:
        yield Apart(process)


async def result(function: Callable[..., Awaitable[Any]], **arguments: Any) -> Any:
    """What ``function`` returns."""
    async with started(function, **arguments) as one:
        return await one.heard()


def say(what: Any) -> None:
    """Tells whoever started this process."""
    print(json.dumps(what), flush=True)


async def asked() -> AsyncGenerator[Any, None]:
    """What this process is told."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


def main() -> None:
    """Runs the function that the command line names, and says what it returned."""
    module, _, name = sys.argv[1].partition(":")
    uvloop.install()
    returned = asyncio.run(getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2])))
    if returned is not None:
        say(returned)


if __name__ == "__main__":
    main()
