"""Fixtures only; nothing imports from here."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server


@pytest.fixture
async def service(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[Service]:
    """A document store of this test's own."""
    async with serving(nats.url, tmp_path / "data", documents_max_bytes="3000000") as service:
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who calls it."""
    async with httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def upload() -> Callable[..., Awaitable[dict[str, Any]]]:
    """Puts a document into the store; what that answers."""
    return _upload


async def _upload(
    client: httpx.AsyncClient,
    name: str = "notes.txt",
    data: bytes = b"hello",
    *,
    kind: str = "text/plain",
    **fields: str,
) -> dict[str, Any]:
    answer = await client.post("/documents", files={"file": (name, data, kind)}, data=fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())
