"""Fixtures only; nothing imports from here."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from benchwire.events import nats_server
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running


@pytest.fixture
async def client(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of a service of this test's own."""
    own = Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
    ):
        yield client


@pytest.fixture
def served(outside_observability: str) -> Iterator[httpx.Client]:
    """A caller of the service that is a process of its own."""
    with httpx.Client(base_url=outside_observability, timeout=20.0, trust_env=False) as client:
        yield client
