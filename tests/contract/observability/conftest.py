"""Fixtures only; nothing imports from here."""

from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture
def served(outside_observability: str) -> Iterator[httpx.Client]:
    """A caller of the service that is a process of its own."""
    with httpx.Client(base_url=outside_observability, timeout=20.0, trust_env=False) as client:
        yield client
