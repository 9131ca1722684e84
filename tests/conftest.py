"""Fixtures only; nothing imports from here."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchwire.events import nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.log import Log
from benchwire.events.settings import NatsSettings


@pytest.fixture
async def nats(tmp_path: Path) -> AsyncIterator[nats_server.Server]:
    """A nats-server of this test's own."""
    async with nats_server.running(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def bus(nats: nats_server.Server) -> AsyncIterator[Bus]:
    """A connection to it."""
    async with connected(NatsSettings(nats_url=nats.url), name="test") as bus:
        yield bus


@pytest.fixture
def log(bus: Bus) -> Log:
    """The log behind it."""
    return Log(bus)
