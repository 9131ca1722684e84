"""Fixtures only; nothing imports from here."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from benchwire.events import child, nats_server
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import free_ports, running


@pytest.fixture
async def client(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of an observability of this test's own."""
    own = Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def outside_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the nats-server behind ``outside_observability`` and ``outside_documents``."""
    home = tmp_path_factory.mktemp("outside-nats")
    with (home / "log").open("wb") as out, _process(nats_server.command(home, port=0), {}, out) as nats:
        yield _waited_for(lambda: nats_server.ports_of(home, nats.pid))


@pytest.fixture(scope="session")
def outside_observability(outside_nats: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the service as a process of its own, as it is installed; other tests are its clients too."""
    with _service("observability", outside_nats, tmp_path_factory.mktemp("outside-observability")) as url:
        yield url


@pytest.fixture(scope="session")
def outside_documents(outside_nats: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same of the document store."""
    with _service("documents", outside_nats, tmp_path_factory.mktemp("outside-documents")) as url:
        yield url


@contextlib.contextmanager
def _service(name: str, nats_url: str, home: Path) -> Iterator[str]:
    """It has to end in order when it is told to, and nothing that its callers did may have surprised it."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    own = {"NATS_URL": nats_url, "BENCHWIRE_DATA": str(home / "data"), f"BENCHWIRE_{name.upper()}_PORT": str(port)}
    with (home / "log").open("wb") as out, _process([sys.executable, "-m", f"benchwire.{name}"], own, out) as service:
        _waited_for(lambda: _is_healthy(url))
        yield url
        service.terminate()
        assert service.wait(10.0) == 0
    assert "Traceback" not in (home / "log").read_text()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _waited_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60.0
    while not (result := condition()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)
    return result


@contextlib.contextmanager
def _process(command: Sequence[str], own: dict[str, str], out: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(child.dying_with_owner(command), env={**os.environ, **own}, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10.0)
