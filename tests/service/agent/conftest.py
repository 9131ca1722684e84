"""Fixtures only; nothing imports from here."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from benchwire.events import child, nats_server
from benchwire.events.bus import Bus
from benchwire.events.catalog import AGENT
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.testing.eventually import eventually

Process = asyncio.subprocess.Process


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str], AbstractAsyncContextManager[str]]:
    """Runs the scripted model endpoint with a script (TOML); gives its URL."""

    @contextlib.asynccontextmanager
    async def running(script: str) -> AsyncGenerator[str, None]:
        file, port = tmp_path / "script.toml", tmp_path / "model.port"
        file.write_text(script)
        argv = [sys.executable, "-m", "benchwire.deploy.scripted", "--script", str(file), "--port-file", str(port)]
        async with child.spawn(argv):
            await eventually(port.exists, what="the scripted model to listen")
            yield f"http://127.0.0.1:{port.read_text().strip()}"

    return running


@pytest.fixture
def agent(
    nats: nats_server.Server, bus: Bus, tmp_path: Path
) -> Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]:
    """Runs an agent runner as a process; it is there when the context is entered. Keywords are settings (``max_tasks="1"``)."""

    @contextlib.asynccontextmanager
    async def running(
        runner: str = "runner-1", url: str | None = None, **settings: str
    ) -> AsyncGenerator[Process, None]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BENCHWIRE_"))
        }
        environment |= {f"BENCHWIRE_{name.upper()}": value for name, value in settings.items()}
        environment |= {
            "BENCHWIRE_NATS_URL": nats.url, "BENCHWIRE_DATA": str(tmp_path / runner), "BENCHWIRE_RUNNER": runner,
            "HOME": str(tmp_path),
        }  # fmt: skip
        if url is not None:
            environment["ANTHROPIC_BASE_URL"] = url
        async with child.spawn([sys.executable, "-m", "benchwire.agent"], env=environment) as process:

            async def there() -> bool:
                assert process.returncode is None, f"the runner ended with {process.returncode}"
                return any(one.pid == process.pid for one in await Presence(bus).everyone() if one.service == AGENT)

            await eventually(there, what="the runner to be there")
            yield process

    return running


@pytest.fixture
def happened(log: Log) -> Callable[[str], Awaitable[list[Event]]]:
    """Reads what the log holds on a filter."""

    async def read(filter_: str) -> list[Event]:
        return [one.event async for one in log.read([filter_])]

    return read
