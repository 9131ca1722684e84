"""The lab in the browser: boards, flash jobs, serial lines."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceDetached, DeviceLeased
from benchwire.events.event import Artifact
from benchwire.events.flash import (
    FlashCancelled,
    FlashCompleted,
    FlashFailed,
    FlashPaused,
    FlashRequested,
    FlashResumed,
    FlashStarted,
    FlashThrottled,
)
from benchwire.events.host import HostStarted
from benchwire.events.lease import LeaseRequested
from benchwire.events.live import FlashProgress, SerialLine
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.testing.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

BOARDS = {
    "lab-1": {"stm32f405-1": "stm32f405", "stm32f405-2": "stm32f405", "esp32c3-1": "esp32c3"},
    "lab-2": {"esp32-1": "esp32", "esp32c3-2": "esp32c3", "nucleo-l476": "stm32l476"},
}
CHIPS = {"stm32f405": "STM32F405", "stm32l476": "STM32L476", "esp32": "ESP32-D0WD", "esp32c3": "ESP32-C3"}
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


def now() -> datetime:
    return datetime.now(UTC)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def boards(lab_bus: Bus, lab_log: Log, client: httpx.AsyncClient) -> AsyncIterator[Log]:
    """Two hosts that are up, with three boards each; what is written in their name goes through the log."""
    async with AsyncExitStack() as stack:
        for host, devices in BOARDS.items():
            present = Present(service="flash-agent", name=host, version="0.1.0", pid=1)
            await stack.enter_async_context(Presence(lab_bus).announced(present))
            await lab_log.append(HostStarted(timestamp=now(), host=host, version="0.1.0", drivers=["esptool", "pyocd"]))
            for device, profile in devices.items():
                esp = profile.startswith("esp")
                attached = DeviceAttached(
                    timestamp=now(), host=host, device=device, profile=profile, driver="esptool" if esp else "pyocd",
                    chip=CHIPS[profile], port=f"/dev/tty{'USB0' if esp else 'ACM0'}",
                )  # fmt: skip
                await lab_log.append(attached)
        yield lab_log


async def requested(log: Log, host: str, job: str, device: str, *, size: int = 262_144) -> None:
    image = Artifact(digest="0" * 64, size_bytes=size, name="blink.bin")
    await log.append(FlashRequested(timestamp=now(), host=host, job_id=job, device=device, image=image, address=0))


async def started(log: Log, host: str, job: str, device: str, *, size: int = 262_144) -> None:
    await requested(log, host, job, device, size=size)
    await log.append(
        FlashStarted(timestamp=now(), host=host, job_id=job, device=device, total_bytes=size, driver="esptool")
    )


async def progressed(log: Log, host: str, job: str, device: str, done: int) -> None:
    total = 262_144
    sample = FlashProgress(
        timestamp=now(), host=host, job_id=job, device=device, stage="writing", done_bytes=done, total_bytes=total,
        speed_bytes_per_s=47_300.0, remaining_s=(total - done) / 47_300,
    )  # fmt: skip
    await log.sample(sample)


async def test_boards_are_idle_leased_and_gone_as_it_happens(page: Page, boards: Log) -> None:
    await page.goto("/#/lab")
    board = page.locator(".device", has_text="nucleo-l476")
    await expect(board.locator(".badge")).to_have_text("idle")
    until = now() + timedelta(minutes=5)
    await boards.append(
        DeviceLeased(
            timestamp=now(), host="lab-2", device="nucleo-l476", lease_id="l1", holder="task-9/stm32", expires_at=until
        )
    )
    await expect(board.locator(".badge")).to_have_text("leased")
    await expect(board.get_by_role("link")).to_have_attribute("href", "#/tasks/task-9")
    await boards.append(DeviceAttached(timestamp=now(), host="lab-2", device="brief", profile=HOSTILE))
    await expect(page.locator(".device", has_text="brief")).to_contain_text(HOSTILE)
    await boards.append(DeviceDetached(timestamp=now(), host="lab-2", device="brief"))
    await expect(page.locator(".device", has_text="brief")).to_have_count(0)
    assert await page.title() == "Lab · Benchwire"


async def test_a_board_is_leased_and_released_and_marked_while_it_is_half_flashed(page: Page, boards: Log) -> None:
    await page.goto("/#/lab")
    board = page.locator(".device", has_text="stm32f405-2")
    await board.get_by_role("button", name="Lease stm32f405-2 of lab-1").click()
    await page.get_by_label("Your name").fill("ada")
    await page.get_by_role("dialog").get_by_role("button", name="Lease").click()

    async def asked() -> LeaseRequested | None:
        found = [one.event async for one in boards.read(["bench.lease.*.requested"])]
        return next((one for one in found if isinstance(one, LeaseRequested) and one.device == "stm32f405-2"), None)

    lease = await eventually(asked, within_s=20, what="a request")
    assert (lease.holder, lease.host, lease.for_s) == ("ada", "lab-1", 3600.0)
    on: dict[str, Any] = {"timestamp": now(), "host": "lab-1", "device": "stm32f405-2", "lease_id": lease.lease_id}
    await boards.append(DeviceLeased(**on, holder="ada", expires_at=now() + timedelta(minutes=5)))
    await expect(board).to_contain_text("held by ada")
    await expect(page.get_by_text("stm32f405-2 is yours")).to_be_visible()
    await board.get_by_role("button", name="Release").click()
    await page.get_by_role("dialog").get_by_role("button", name="Release").click()
    await expect(board.locator(".badge")).to_have_text("idle")
    await started(boards, "lab-1", "job_half", "stm32f405-2")
    bar = page.locator('.bars > li[data-key="job_half"]')
    await bar.get_by_role("button", name="Limit").click()
    await page.get_by_label("KiB a second").fill("20")
    await page.get_by_role("dialog").get_by_role("button", name="Limit").click()
    await eventually(lambda: boards.last_sequence("bench.flash.lab-1.job_half.throttle_requested"), within_s=20)
    of: dict[str, Any] = {"timestamp": now(), "host": "lab-1", "job_id": "job_half", "device": "stm32f405-2"}
    await boards.append(FlashThrottled(**of, max_bytes_per_s=20_480))
    await expect(bar).to_contain_text("at most 20 KiB/s")
    await boards.append(FlashCancelled(**of, reason="the cable was pulled", flash_state="partial"))
    await expect(board).to_contain_text("flash it again")
    await page.get_by_text("How it went").click()
    await expect(page.locator(".flashed tbody").first).to_contain_text("lab-1/stm32f405-2")
    await expect(page.locator(".flashed tbody").last).to_contain_text("the cable was pulled")


async def test_a_bar_moves_and_is_paused_resumed_and_cancelled(
    page: Page, boards: Log, client: httpx.AsyncClient
) -> None:
    await started(boards, "lab-1", "job_move", "esp32c3-1")
    await page.goto("/#/lab")
    bar = page.locator('.bars > li[data-key="job_move"]')
    value = bar.get_by_role("progressbar")
    shown = []
    for done in (65_536, 131_072):
        await eventually(lambda done=done: shows(page, boards, done), within_s=20, what=f"{done} bytes")  # type: ignore[misc]
        shown.append(float(await value.evaluate("one => one.value")))
    assert shown == [25.0, 50.0]
    await expect(bar).to_contain_text("46 KiB/s")
    await expect(page.locator(".device", has_text="esp32c3-1").locator(".badge")).to_have_text("flashing")
    await bar.get_by_role("button", name="Pause").click()
    await boards.append(FlashPaused(timestamp=now(), host="lab-1", job_id="job_move", device="esp32c3-1"))
    await expect(bar.locator(".badge")).to_have_text("paused")
    await bar.get_by_role("button", name="Resume").click()
    await boards.append(FlashResumed(timestamp=now(), host="lab-1", job_id="job_move", device="esp32c3-1"))
    await expect(bar.locator(".badge")).to_have_text("flashing")
    await bar.get_by_role("button", name="Cancel").click()
    await boards.append(
        FlashCancelled(timestamp=now(), host="lab-1", job_id="job_move", device="esp32c3-1", flash_state="partial")
    )
    await expect(bar.locator(".badge")).to_have_text("cancelled")
    await expect(bar.get_by_role("button")).to_have_count(0)
    asked = (await client.get("/api/flash/jobs/job_move")).json()
    assert asked["status"] == "cancelled"


async def shows(page: Page, log: Log, done: int) -> bool:
    """Samples are only heard by who listens already, so they are sent until they are seen."""
    await progressed(log, "lab-1", "job_move", "esp32c3-1", done)
    told = await page.locator('.bars > li[data-key="job_move"] .told').inner_text()
    return f"{done // 1024} KiB of" in told


async def test_a_job_that_fails_says_why(page: Page, boards: Log) -> None:
    await started(boards, "lab-2", "job_fail", "esp32-1")
    await page.goto("/#/lab")
    error = f"the chip does not answer; hold BOOT while it resets {HOSTILE}"
    await boards.append(
        FlashFailed(
            timestamp=now(),
            host="lab-2",
            job_id="job_fail",
            device="esp32-1",
            code="no_sync",
            error=error,
            flash_state="untouched",
        )
    )
    await expect(page.locator(".bars > .failed")).to_contain_text(error)
    assert await page.locator("main img").count() == 0


async def test_serial_lines_appear_and_can_be_held(page: Page, boards: Log) -> None:
    await page.goto("/#/lab")
    screen = page.get_by_role("region", name="Serial output").last
    await page.get_by_role("button", name="lab-1/stm32f405-2").click()

    async def heard() -> bool:
        await printed(boards, "first word")
        return await screen.locator("li").count() > 0

    await eventually(heard, within_s=20, what="a line")
    await printed(boards, HOSTILE)
    await expect(screen.locator("li").last).to_contain_text(HOSTILE)
    await page.get_by_role("button", name="Pause").click()
    count = await screen.locator("li").count()
    await printed(boards, "unseen")
    await boards.sample(SerialLine(timestamp=now(), host="lab-1", device="stm32f405-1", line="elsewhere", number=1))
    await expect(page.get_by_role("button", name="lab-1/stm32f405-1").locator(".unread")).to_have_text("1")
    assert await screen.locator("li").count() == count
    await page.get_by_role("button", name="Go on").click()
    await expect(screen.locator("li").last).to_contain_text("unseen")
    for number in range(1500):
        await boards.sample(
            SerialLine(timestamp=now(), host="lab-1", device="stm32f405-2", line=f"tick {number}", number=number)
        )
    await expect(screen.locator("li").last).to_contain_text("tick 1499")
    assert await screen.locator("li").count() <= 1000
    await screen.evaluate("one => { one.scrollTop = 100; }")
    await expect(page.get_by_role("button", name="To the end")).to_be_visible()
    await printed(boards, "below")
    await expect(screen.locator("li").last).to_contain_text("below")
    assert await screen.evaluate("one => one.scrollTop") < 300
    await page.get_by_role("button", name="To the end").click()
    await expect(screen.locator("li").last).to_be_in_viewport()


async def printed(log: Log, line: str) -> None:
    await log.sample(SerialLine(timestamp=now(), host="lab-1", device="stm32f405-2", line=line, number=1))


async def test_a_busy_lab_is_a_pleasure_to_look_at(
    page: Page, boards: Log, picture: Callable[[Page, str], Awaitable[None]]
) -> None:
    jobs = (
        ("lab-1", "job_a", "stm32f405-1", 0.82),
        ("lab-1", "job_b", "stm32f405-2", 0.37),
        ("lab-2", "job_c", "esp32c3-2", 0.61),
    )
    for host, job, device, _ in jobs:
        await started(boards, host, job, device)
    await boards.append(FlashPaused(timestamp=now(), host="lab-2", job_id="job_c", device="esp32c3-2"))
    await requested(boards, "lab-2", "job_d", "esp32-1", size=917_504)
    await started(boards, "lab-1", "job_e", "esp32c3-1", size=311_296)
    await boards.append(
        FlashCompleted(
            timestamp=now(),
            host="lab-1",
            job_id="job_e",
            device="esp32c3-1",
            total_bytes=311_296,
            duration_s=6.9,
            verified_by="md5 of the chip",
        )
    )
    await page.set_viewport_size({"width": 1280, "height": 900})
    await page.goto("/#/lab")
    screen = page.get_by_role("region", name="Serial output").last
    await page.get_by_role("button", name="lab-1/esp32c3-1").click()
    boot = ["ESP-ROM:esp32c3-api1-20210207", "rst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)", "BOOT esp32c3"]
    lines = [*boot, *(f"count {number}" for number in range(1, 6)), "SELFTEST PASS", "tick 0", "tick 1", "tick 2"]

    async def alive() -> bool:
        for host, job, device, part in jobs:
            await progressed(boards, host, job, device, int(262_144 * part))
        if await screen.locator("li").count() == 0:
            for number, line in enumerate(lines):
                await boards.sample(
                    SerialLine(timestamp=now(), host="lab-1", device="esp32c3-1", line=line, number=number)
                )
        return "82.0 %" in await page.locator(".bars").inner_text() and await screen.locator("li").count() >= len(lines)

    await eventually(alive, within_s=20, what="bars and lines")
    await expect(page.locator(".bars > .paused")).to_contain_text("61.0 %")
    await picture(page, "lab")
    for _, job, device, _ in jobs:
        host = "lab-2" if job == "job_c" else "lab-1"
        await boards.append(
            FlashCancelled(timestamp=now(), host=host, job_id=job, device=device, flash_state="partial")
        )
