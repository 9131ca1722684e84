"""Fixtures only; nothing imports from here."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests import blocking

from benchwire.events import nats_server
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running


@pytest.fixture
def settings(nats: nats_server.Server, tmp_path: Path) -> Settings:
    """Of a service of this test's own, on a free port."""
    return Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0, outbox_bytes=1 << 20)


@pytest.fixture
async def port(settings: Settings) -> AsyncIterator[int]:
    """The service, where it listens; whatever of it blocks the loop fails."""
    async with running(lambda ready: observe(settings, on_ready=ready)) as port:
        with blocking.refused("benchwire.observability", "benchwire.web", "benchwire.events"):
            yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who calls it."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client:
        yield client
