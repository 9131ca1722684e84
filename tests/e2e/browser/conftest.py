"""Fixtures only; nothing imports from here. One browser and one lab serve all tests of a worker; each test has a context of its own."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from benchwire.documents.testing import serving
from benchwire.events import nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.log import Log
from benchwire.events.settings import NatsSettings
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.origins import page_origins
from benchwire.web.testing import free_ports, running

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
_DOCS = Path(__file__).parents[3] / "docs"
# What a browser says of an answer that a test provokes, or of a service that a test stops.
_PROVOKED = re.compile(r"Failed to load resource|WebSocket connection to|ERR_CONNECTION_REFUSED")
_DEADLINE_MS = 20_000

Picture = Callable[[Page, str], Awaitable[None]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Only tests that take pictures, when pictures are wanted: what others left in the lab is nothing to show."""
    if os.environ.get("BENCHWIRE_SCREENSHOTS"):
        items[:] = [one for one in items if "picture" in getattr(one, "fixturenames", ())]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    if _CHROMIUM is None:
        sentence = "Chromium is not installed: deploy/setup.sh test-packages installs it"
        assert not os.environ.get("CI"), sentence
        pytest.skip(sentence)
    expect.set_options(timeout=_DEADLINE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=_ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab_nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[nats_server.Server]:
    """The nats-server of the lab that the page shows."""
    async with nats_server.running(tmp_path_factory.mktemp("page") / "nats") as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab_bus(lab_nats: nats_server.Server) -> AsyncIterator[Bus]:
    """A connection to it."""
    async with connected(NatsSettings(nats_url=lab_nats.url), name="test") as bus:
        yield bus


@pytest.fixture(scope="session")
def lab_log(lab_bus: Bus) -> Log:
    """The log behind the page."""
    return Log(lab_bus)


@pytest.fixture(scope="session")
def ports() -> list[int]:
    """Of observability and of documents; each has to know the other's before it starts."""
    return free_ports(2)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(
    lab_nats: nats_server.Server, ports: list[int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """Observability, as a client calls it."""
    settings = Settings(
        nats_url=lab_nats.url,
        data=tmp_path_factory.mktemp("observability"),
        observability_port=ports[0],
        documents_url=f"http://127.0.0.1:{ports[1]}",
    )
    async with (
        running(lambda ready: observe(settings, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0, trust_env=False) as client,
    ):
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def documents(
    lab_nats: nats_server.Server, ports: list[int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """The document store, as a client calls it."""
    data = tmp_path_factory.mktemp("documents")
    origins = ",".join(page_origins("127.0.0.1", ports[0]))
    async with (
        serving(lab_nats.url, data, documents_port=str(ports[1]), cors_origins=origins) as service,
        httpx.AsyncClient(base_url=service.url, timeout=20.0, trust_env=False) as client,
    ):
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, client: httpx.AsyncClient) -> AsyncIterator[Page]:
    """A tab of the lab's page; at the end nothing in it may have gone wrong, and the content policy may have stopped nothing."""
    context = await chromium.new_context(
        base_url=str(client.base_url), viewport={"width": 1280, "height": 800}, service_workers="block"
    )
    page = await context.new_page()
    page.set_default_timeout(_DEADLINE_MS)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"uncaught: {error}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
    yield page
    await context.close()
    assert [one for one in wrong if not _PROVOKED.search(one)] == []


@pytest.fixture
def picture(tmp_path: Path) -> Picture:
    """Takes a picture of a page; ``BENCHWIRE_SCREENSHOTS`` names the folder that keeps it, ``docs`` is the project's."""
    wanted = os.environ.get("BENCHWIRE_SCREENSHOTS", "")
    folder = _DOCS if wanted == "docs" else Path(wanted) if wanted else tmp_path

    async def take(page: Page, name: str) -> None:
        await page.evaluate("document.fonts.ready")
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        await page.screenshot(path=folder / f"page-{name}.png", animations="disabled")

    return take
