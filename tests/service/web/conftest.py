"""Fixtures only; nothing imports from here."""

from collections.abc import AsyncIterator

import pytest
from tests.service.web.gated import Service


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """One with the usual limits."""
    async with Service().served() as service:
        yield service


@pytest.fixture
async def quick() -> AsyncIterator[Service]:
    """One that is quickly out of patience."""
    async with Service(head_within_s=0.2, slow_for_s=0.4, slowest_bytes_per_s=1000).served() as service:
        yield service
