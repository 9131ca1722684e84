"""Documents in the browser, which come from another origin."""

import json
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
MAP_FILE = """Memory Configuration

Name             Origin             Length             Attributes
FLASH            0x08000000         0x00100000         xr
RAM              0x20000000         0x00020000         xrw

.text           0x080001c0      0xa2c
                0x080001c0                Reset_Handler
                0x08000240                main
"""

WATCH_THE_BAR = """
window.seen = [];
const uploads = document.querySelector(".uploads");
const look = () => { const bar = uploads.querySelector("progress"); if (bar) window.seen.push(bar.value / bar.max); };
new MutationObserver(look).observe(uploads, {subtree: true, childList: true, characterData: true, attributes: true});
"""


async def stored(
    documents: httpx.AsyncClient,
    name: str,
    body: bytes,
    kind: str = "text/plain",
    *,
    tags: str = "",
    description: str = "",
) -> str:
    data = {"tags": tags, "metadata": json.dumps({"description": description} if description else {})}
    answer = await documents.post("/documents", files={"file": (name, body, kind)}, data=data)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def png(width: int, height: int) -> bytes:
    """A small picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    rows = b"".join(b"\0" + bytes((13, 110, 99)) * width for _ in range(height))
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def test_a_file_is_uploaded_seen_described_and_deleted(
    page: Page, documents: httpx.AsyncClient, tmp_path: Path
) -> None:
    await page.goto("/#/documents")
    file = tmp_path / "calibration.csv"
    file.write_text("channel,offset\n0,12\n1,-3\n")
    await page.locator("input[type=file]").set_input_files(file)
    row = page.get_by_role("link", name="calibration.csv")
    await expect(row).to_be_visible()
    await row.click()
    await expect(page.locator(".preview")).to_contain_text("1,-3")
    await page.get_by_role("textbox", name="Tags").fill("adc, bench-2")
    await page.get_by_label("Description").fill("Offsets of the ADC")
    await page.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("Offsets of the ADC")
    await page.get_by_role("button", name="bench-2").click()
    await expect(page.locator(".rows li")).to_have_count(1)
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download").click()
    saved = tmp_path / "saved.csv"
    await (await download.value).save_as(saved)
    assert saved.read_bytes() == file.read_bytes()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator(".detail .empty")).to_be_visible()
    await expect(row).to_have_count(0)


async def test_a_large_upload_shows_how_far_it_is(page: Page, documents: httpx.AsyncClient, tmp_path: Path) -> None:
    await page.goto("/#/documents")
    await page.evaluate(WATCH_THE_BAR)
    file = tmp_path / "image.bin"
    file.write_bytes(bytes(24 << 20))
    await page.locator("input[type=file]").set_input_files(file)
    await expect(page.locator(".notice")).to_contain_text("image.bin is uploaded")
    assert max(await page.evaluate("window.seen")) > 0.5
    await expect(page.locator(".uploads li")).to_have_count(0)


async def test_a_document_is_shown_as_text_or_picture_and_never_acts(page: Page, documents: httpx.AsyncClient) -> None:
    evil = f"<!doctype html><script>document.title='owned'</script>{HOSTILE}".encode()
    as_html = await stored(
        documents, f"{HOSTILE.replace('/', '')}.html", evil, "text/html", tags="evil", description=HOSTILE
    )
    as_svg = await stored(
        documents, "evil.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"
    )
    as_png = await stored(documents, "board.png", png(64, 40), "image/png")
    await page.goto(f"/#/documents/{as_html}")
    await expect(page.locator(".preview pre")).to_have_text(evil.decode())
    assert await page.locator("main iframe, main img, main script").count() == 0
    await page.goto(f"/#/documents/{as_svg}")
    await expect(page.locator(".preview")).to_have_text("There is no preview of this kind of document.")
    await page.goto(f"/#/documents/{as_png}")
    image = page.locator(".preview img")
    await expect(image).to_have_js_property("naturalWidth", 64)
    assert str(await image.get_attribute("src")).startswith("blob:")
    assert await page.title() == "Documents · Benchwire"


async def test_documents_appear_live_and_are_found_by_name(
    page: Page, documents: httpx.AsyncClient, picture: Callable[[Page, str], Awaitable[None]]
) -> None:
    await page.goto("/#/documents")
    files: list[tuple[str, bytes, str, str, str]] = [
        ("blink.elf", bytes(21_480), "application/octet-stream", "firmware,stm32f405", "Blink with symbols"),
        (
            "boot-log.txt",
            b"BOOT esp32c3\r\nSELFTEST PASS\r\n",
            "text/plain",
            "serial,esp32c3",
            "First boot after the brown-out fix",
        ),
        ("pinout.png", png(320, 200), "image/png", "board", "Header J3"),
        ("sleep-current.csv", b"t_ms,uA\n0,41\n10,39\n", "text/csv", "measurement", "Bench 2, 3.3 V, 25 degrees"),
        ("blink.map", MAP_FILE.encode(), "text/plain", "firmware,stm32f405", "Where everything went"),
    ]
    ids = [
        await stored(documents, name, body, kind, tags=tags, description=words)
        for name, body, kind, tags, words in files
    ]
    await expect(page.get_by_role("link", name="blink.map")).to_be_visible()
    await page.get_by_label("Search names and text").fill("blink")
    await expect(page.locator(".rows li")).to_have_count(2)
    await page.get_by_label("Search names and text").fill("")
    await page.goto(f"/#/documents/{ids[-1]}")
    await expect(page.locator(".preview")).to_contain_text("Reset_Handler")
    await page.get_by_role("button", name="firmware").click()
    await expect(page.locator(".rows li")).to_have_count(2)
    await page.get_by_role("button", name="firmware").click()
    await expect(page.locator(".rows li").nth(4)).to_be_visible()
    await picture(page, "documents")
