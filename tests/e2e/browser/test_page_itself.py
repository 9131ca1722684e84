"""The page as a whole: keyboard, small screens, tokens, connections, and how its files are served."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.async_api import Page, expect

from benchwire.events import nats_server
from benchwire.events.log import Log
from benchwire.events.session import MessageSent, SessionStarted
from benchwire.events.settings import Secret
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web import tokens
from benchwire.web.testing import running

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOMS = ("sessions", "tasks", "lab", "documents", "usage", "blueprints", "search?q=hello")


async def started(log: Log, session_id: str, name: str) -> None:
    await log.append(SessionStarted(timestamp=datetime.now(UTC), session_id=session_id, session_name=name))


@asynccontextmanager
async def guarded(nats: nats_server.Server, data: Path, port: int = 0, token: str = "") -> AsyncIterator[str]:
    """Another observability of the same lab."""
    settings = Settings(nats_url=nats.url, data=data, observability_port=port, token=Secret(token))
    async with running(lambda ready: observe(settings, on_ready=ready)) as served:
        yield f"http://127.0.0.1:{served}"


async def test_a_browser_gets_the_page_and_all_else_the_routes(client: httpx.AsyncClient) -> None:
    page = await client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["vary"] == "Accept"
    routes = await client.get("/routes")
    assert "POST   /events" in routes.text
    assert (await client.get("/")).text == routes.text
    assert "style=" not in page.text
    assert not re.search(r"<script(?![^>]*src=)", page.text)


async def test_files_of_the_page_are_asked_for_again_and_sent_once(client: httpx.AsyncClient) -> None:
    first = await client.get("/page/main.js")
    assert (first.status_code, first.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/page/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.head("/page/main.js")).status_code == 200
    for outside in ("/page/none.js", "/page/../settings.py", "/page/%2e%2e/settings.py", "/page/"):
        assert (await client.get(outside)).status_code == 404


async def test_everything_can_be_reached_with_the_keyboard(page: Page, lab_log: Log) -> None:
    for number in range(3):
        await started(lab_log, f"key-{number}", f"Keyboard {number}")
    await page.goto("/#/sessions")
    await page.get_by_label("Filter by name or id").fill("Keyboard")
    rows = page.locator(".rows a")
    await expect(rows).to_have_count(3)
    await page.keyboard.press("Escape")
    for key, focused in (("j", 0), ("j", 1), ("ArrowDown", 2), ("j", 2), ("k", 1), ("ArrowUp", 0)):
        await page.keyboard.press(key)
        await expect(rows.nth(focused)).to_be_focused()
    outline = await rows.nth(0).evaluate("one => getComputedStyle(one).outlineStyle")
    assert outline == "solid"
    await page.keyboard.press("Enter")
    await expect(page.locator(".detail h2")).to_have_text("Keyboard 2")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    for key, room in (("t", "tasks"), ("l", "lab"), ("d", "documents"), ("s", "sessions")):
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(page).to_have_url(re.compile(f"#/{room}$"))
    await page.keyboard.press("/")
    await expect(page.get_by_label("Search in all sessions")).to_be_focused()
    await page.keyboard.type("jk?")
    await expect(page.get_by_label("Search in all sessions")).to_have_value("jk?")
    await page.reload()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_landmarks_names_and_focus_are_there_for_who_does_not_see(page: Page, lab_log: Log) -> None:
    await started(lab_log, "named-1", "Named")
    for room in ("sessions/named-1", *ROOMS):
        await page.goto(f"/#/{room}")
        await expect(page.get_by_role("main")).to_be_visible()
        await expect(page.get_by_role("banner")).to_be_visible()
        await expect(page.get_by_role("navigation")).to_be_visible()
        await expect(page.locator("h1, h2").first).to_be_visible()
        nameless = await page.evaluate(
            "[...document.querySelectorAll('button, a, input, select, textarea, progress, meter')].filter(one =>"
            " one.offsetParent && !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)).map(one => one.outerHTML)"
        )
        assert nameless == [], room


async def test_a_small_screen_shows_one_thing_at_a_time_and_never_scrolls_sideways(
    page: Page, documents: httpx.AsyncClient, lab_log: Log, picture: Callable[[Page, str], Awaitable[None]]
) -> None:
    name = "Find out why the gateway's watchdog bites after exactly forty-nine days and seventeen hours"
    question = "The gateway restarts every **49.7 days**. Which counter wraps?"
    answer = "`uptime_ms` is 32 bits wide, and 2^32 ms are 49.7 days. The watchdog compares it with `<`:"
    await started(lab_log, "small-1", name)
    for role, text in (
        ("user", question),
        ("assistant", f"{answer}\n\n```c\nif (uptime_ms < deadline) wdt_feed();\n```"),
    ):
        await lab_log.append(
            MessageSent(
                timestamp=datetime.now(UTC), session_id="small-1", role=role, content=[{"type": "text", "text": text}]
            )
        )
    await page.set_viewport_size({"width": 360, "height": 740})
    for room in ROOMS:
        await page.goto(f"/#/{room}")
        await expect(page.locator("h1")).to_be_visible()
        assert await page.evaluate("document.scrollingElement.scrollWidth") <= 360, room
        wide = await page.evaluate(
            "[...document.querySelectorAll('main *')].filter(one => one.offsetParent && one.getBoundingClientRect().right > 361"
            " && !one.closest('.wide, pre')).map(one => one.className || one.tagName)"
        )
        assert wide == [], room
    await page.goto("/#/sessions/small-1")
    await expect(page.locator(".detail h2")).to_be_visible()
    await expect(page.locator(".list")).to_be_hidden()
    await expect(page.locator(".message")).to_have_count(2)
    await page.emulate_media(color_scheme="dark")
    await picture(page, "small")
    await page.get_by_role("link", name="Back to the list").click()
    await expect(page.locator(".list")).to_be_visible()
    await expect(page.locator(".detail")).to_be_hidden()


async def test_a_guarded_lab_asks_for_its_token_and_says_what_a_token_lacks(
    page: Page, lab_nats: nats_server.Server, lab_log: Log, tmp_path: Path
) -> None:
    await started(lab_log, "guarded-1", "Behind the guard")
    reader = tokens.create(tmp_path / tokens.FILE_NAME, "reader", [tokens.Scope.READ], now=datetime.now(UTC))
    async with guarded(lab_nats, tmp_path, token="the-right-one") as url:
        await page.goto(f"{url}/#/sessions")
        await page.get_by_role("textbox", name="Token").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("That token is not the right one.")
        await page.get_by_role("textbox", name="Token").fill(reader)
        await page.get_by_role("button", name="Use it").click()
        await expect(page.locator("#link")).to_have_text("live")
        await page.get_by_role("link", name="Behind the guard").click()
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(page.locator(".notice.wrong")).to_contain_text("control")
        await page.evaluate("sessionStorage.clear()")
        await page.reload()
        await page.get_by_role("textbox", name="Token").fill("the-right-one")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Stop", exact=True).click()
        await expect(page.locator(".detail .badge")).to_have_text("stopped")
        assert "the-right-one" not in page.url


async def test_when_the_service_comes_back_the_page_shows_what_it_missed(
    page: Page, lab_nats: nats_server.Server, lab_log: Log, tmp_path: Path
) -> None:
    async with guarded(lab_nats, tmp_path) as url:
        await page.goto(f"{url}/#/sessions")
        await expect(page.locator("#link")).to_have_text("live")
    await expect(page.locator("#link")).to_contain_text("back in")
    await started(lab_log, "missed-1", "Began while nobody listened")
    port = int(url.rsplit(":", 1)[1])
    async with guarded(lab_nats, tmp_path, port):
        await expect(page.locator("#link")).to_have_text("live")
        await expect(page.get_by_role("link", name="Began while nobody listened")).to_be_visible()


async def test_blueprints_are_written_changed_and_deleted(page: Page, client: httpx.AsyncClient) -> None:
    await page.goto("/#/blueprints")
    await page.get_by_role("link", name="New blueprint").click()
    await page.get_by_label("Name").fill("firmware-author")
    await page.get_by_label("Description").fill("Writes C for small boards")
    await page.get_by_label("System prompt").fill("You write firmware.")
    await page.get_by_role("button", name="Save").click()
    row = page.get_by_role("link", name="firmware-author")
    await expect(row).to_contain_text("active")
    await page.get_by_label("active").uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("inactive")
    assert (await client.get("/agents/firmware-author")).json()["system_prompt"] == "You write firmware."
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(row).to_have_count(0)


async def test_dark_and_light_follow_the_system_and_both_can_be_read(page: Page) -> None:
    await page.goto("/#/sessions")
    schemes: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
    for scheme in schemes:
        await page.emulate_media(color_scheme=scheme)
        assert await contrast(page, "h1", ".list") > 7, scheme
        assert await contrast(page, ".empty", "body") > 4.5, scheme
        assert await contrast(page, ".primary", ".primary") > 4.5, scheme


async def contrast(page: Page, text: str, ground: str) -> float:
    """The contrast of WCAG 2 between the colour of one element and the background of another."""
    ink = await page.locator(text).first.evaluate("one => getComputedStyle(one).color")
    paper = await page.locator(ground).first.evaluate("one => getComputedStyle(one).backgroundColor")
    one, other = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (one + 0.05) / (other + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
