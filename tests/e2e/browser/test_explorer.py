"""``/schema`` in a browser: Swagger UI from this machine, under the policy that all answers have."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from benchwire.events import nats_server
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web import tokens
from benchwire.web.testing import running
from benchwire.web.tokens import Scope

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_routes_are_shown_and_can_be_tried_with_a_token(
    page: Page, lab_nats: nats_server.Server, tmp_path: Path
) -> None:
    settings = Settings(nats_url=lab_nats.url, data=tmp_path, observability_port=0)
    token = await asyncio.to_thread(tokens.create, settings.tokens_path, "reader", [Scope.READ], now=datetime.now(UTC))
    async with running(lambda ready: observe(settings, on_ready=ready)) as port:
        await page.goto(f"http://127.0.0.1:{port}/schema")
        await page.get_by_label("This service wants a token").fill("a wrong one")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("not known here")).to_be_visible()
        await page.get_by_label("This service wants a token").fill(token)
        await page.get_by_role("button", name="Show").click()
        routes = page.locator("#operations-tasks-TasksListTasks")
        await routes.click()
        await routes.get_by_role("button", name="Try it out").click()
        await routes.get_by_role("button", name="Execute").click()
        await expect(routes.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
