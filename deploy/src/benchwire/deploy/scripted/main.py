"""`python -m benchwire.deploy.scripted --port N`: the scripted model as a process of its own."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from benchwire.deploy.scripted import script
from benchwire.deploy.scripted.app import app_of


class _Server(uvicorn.Server):
    """uvicorn, which would raise a SIGTERM again after an orderly end, so that the exit code said it was killed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def main() -> None:
    """Serves until SIGTERM or SIGINT; exits with 78 for a script that cannot be used and 1 for a port that cannot be had."""
    arguments = _parse()
    try:
        app = app_of(script.load(arguments.script))
        with socket.create_server((arguments.host, arguments.port)) as listening:
            config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
            with _written(arguments.port_file, listening.getsockname()[1]):
                asyncio.run(_Server(config).serve([listening]))
    except script.ScriptError as error:
        print(f"scripted model: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
        sys.exit(78)
    except OSError as error:
        print(f"scripted model: {arguments.host}:{arguments.port}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchwire.deploy.scripted", description="A Messages API endpoint that plays a cassette."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port once it listens")
    parser.add_argument(
        "--script",
        type=Path,
        default=script.DEFAULT,
        help="a cassette, or a TOML file of [[turn]] tables; the demo's unless told",
    )
    return parser.parse_args()


@contextlib.contextmanager
def _written(path: Path | None, port: int) -> Iterator[None]:
    """Keeps the port in ``path`` for the time of the block; a reader sees it whole or not at all."""
    if path is None:
        yield
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(f"{port}\n")
    draft.rename(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
