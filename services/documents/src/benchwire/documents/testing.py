"""The service for tests that call it from outside: in this process, which is quick, or as a process of its own, which can be killed."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from benchwire.documents import main
from benchwire.documents.settings import Settings
from benchwire.events import child
from benchwire.events.settings import load
from benchwire.web.testing import free_ports


class Service:
    """A running document store: its base URL, and where it keeps its things."""

    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self.data = data

    @property
    def incoming(self) -> list[Path]:
        """The temporary files of uploads."""
        return sorted((self.data / "documents" / "incoming").iterdir())

    @property
    def projection(self) -> Path:
        """The file with the rows."""
        return self.data / "documents" / "projection.sqlite"


class Process(Service):
    """One that runs by itself."""

    def __init__(self, url: str, data: Path, process: asyncio.subprocess.Process) -> None:
        super().__init__(url, data)
        self.process = process


@contextlib.asynccontextmanager
async def serving(nats_url: str, data: Path, **settings: str) -> AsyncGenerator[Service, None]:
    """The whole service in this loop, until the context is left; ``settings`` as for ``running``."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    made = load(Settings, _environment(nats_url, data, 0, settings))
    task = asyncio.create_task(main.serving(made, ready.set_result))
    task.add_done_callback(lambda _: ready.done() or ready.cancel())
    try:
        yield Service(f"http://127.0.0.1:{await ready}", data)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def running(
    nats_url: str, data: Path, *, port: int = 0, deadline_s: float = 15.0, **settings: str
) -> AsyncGenerator[Process, None]:
    """Runs the service as a process until the context is left; ``settings`` are names of ``BENCHWIRE_`` variables in lower case.

    Entered when it answers. Raises ``AssertionError`` with its last words when it does not.
    """
    port = port or free_ports(1)[0]
    environment = {**os.environ, **_environment(nats_url, data, port, settings)}
    await asyncio.to_thread(data.mkdir, parents=True, exist_ok=True)
    said = data / "documents.log"
    with said.open("ab") as out:
        command = [sys.executable, "-m", "benchwire.documents"]
        async with child.spawn(command, env=environment, stdout=out, stderr=out, grace_s=5.0) as process:
            try:
                async with asyncio.timeout(deadline_s):
                    await _answers(port, process)
            except TimeoutError:
                raise AssertionError(f"the service does not answer: {said.read_text()}") from None
            yield Process(f"http://127.0.0.1:{port}", data, process)


def _environment(nats_url: str, data: Path, port: int, settings: dict[str, str]) -> dict[str, str]:
    given = {"nats_url": nats_url, "data": str(data), "documents_port": str(port), **settings}
    return {f"BENCHWIRE_{name.upper()}": value for name, value in given.items()}


async def _answers(port: int, process: asyncio.subprocess.Process) -> None:
    while process.returncode is None:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if (await reader.readline()).startswith(b"HTTP/1.1 200"):
                    return
            finally:
                writer.close()
        await asyncio.sleep(0.02)
    raise TimeoutError
