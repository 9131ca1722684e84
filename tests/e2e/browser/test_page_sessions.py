"""Sessions in the browser: found, followed, started, stopped, deleted, searched."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from benchwire.events.log import Log
from benchwire.events.session import ModelUsed, ToolApprovalRequested
from benchwire.events.testing.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

START = datetime.now(UTC) - timedelta(minutes=3)
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
MAIN_C = """#include "board.h"

int main(void) {
    board_init();
    uart_puts("BOOT stm32f405\\r\\n");
    for (unsigned tick = 0;; ++tick) {
        led_toggle();
        delay_ms(500);
    }
}
"""


def hook(kind: str, after_s: float = 0, **fields: Any) -> dict[str, Any]:
    """An event, so many seconds after the start."""
    at = START + timedelta(seconds=after_s)
    return {"event_type": kind, "timestamp": at.isoformat(), **fields}


def said(role: str, *blocks: str | dict[str, Any], after_s: float = 0) -> dict[str, Any]:
    """A message of texts and other blocks."""
    content = [{"type": "text", "text": one} if isinstance(one, str) else one for one in blocks]
    return hook("message", after_s, role=role, content=content)


def used(use: str, name: str, **given: Any) -> dict[str, Any]:
    """A block in which the model calls a tool."""
    return {"type": "tool_use", "id": use, "name": name, "input": given}


async def told(client: httpx.AsyncClient, session_id: str, *events: dict[str, Any]) -> None:
    """Reports hooks, in this order."""
    answer = await client.post(f"/sessions/{session_id}/events", json=list(events))
    assert answer.json()["ok"], answer.text


async def worked(client: httpx.AsyncClient, session_id: str, name: str) -> None:
    """A session as an agent that brings up a board leaves it."""
    write = {"path": "src/main.c", "content": MAIN_C}
    build = {"command": "make BOARD=stm32f405"}
    flash = {"command": "benchwire run --board stm32f405 src --expect 'BOOT stm32f405'"}
    taken = "stm32f405-2 is leased by task-41/stm32; wait for it or cancel that job"
    command = "benchwire run --board stm32f405 src --host lab-1"
    report = f"The second board is taken, so I use the first:\n\n```sh\n{command}\n```\n\n- the image is 2.6 KiB\n- it boots in 41 ms"
    warning = "src/main.c:7:23: warning: unused variable 'tick' [-Wunused-variable]\n   text    data     bss\n   2604      12     256\n"
    await told(
        client,
        session_id,
        hook("session_start", session_name=name, agent_name="firmware", project_dir="/srv/blink"),
        said("user", "Bring up the STM32F405 on `lab-1`: say who you are on the UART, then blink LED 1 twice a second.", after_s=1),
        said("assistant", "I start with what can be seen: a **boot line**, then the blink.", used("u1", "write_file", **write), after_s=5),
        hook("pre_tool", 6, tool_name="write_file", tool_use_id="u1", tool_input=write),
        hook("post_tool", 6.1, tool_name="write_file", tool_use_id="u1", tool_input=write, tool_output="11 lines written", duration_s=0.004),
        said("user", {"type": "tool_result", "tool_use_id": "u1", "content": "11 lines written"}, after_s=7),
        said("assistant", used("u2", "bash", **build), after_s=9),
        hook("pre_tool", 9, tool_name="bash", tool_use_id="u2", tool_input=build),
        hook("post_tool", 11, tool_name="bash", tool_use_id="u2", tool_input=build, tool_output=warning, duration_s=1.84),
        said("assistant", "It builds. On to the board.", used("u3", "bash", **flash), after_s=14),
        hook("pre_tool", 14, tool_name="bash", tool_use_id="u3", tool_input=flash),
        hook("post_tool", 24, tool_name="bash", tool_use_id="u3", tool_input=flash, error=taken, duration_s=9.7),
        said("assistant", report, after_s=30),
    )  # fmt: skip


async def test_a_session_appears_while_one_looks_and_its_status_follows(page: Page, client: httpx.AsyncClient) -> None:
    await page.goto("/#/sessions")
    await expect(page.locator("#link")).to_have_text("live")
    await told(client, "live-1", hook("session_start", session_name="Blink on the second board"))
    row = page.get_by_role("link", name="Blink on the second board")
    await expect(row).to_contain_text("running")
    await told(client, "live-1", hook("session_stop", exit_code=0))
    await expect(row).to_contain_text("finished")


async def test_a_timeline_shows_what_was_said_and_folds_each_tool_with_its_answer(
    page: Page, client: httpx.AsyncClient, picture: Callable[[Page, str], Awaitable[None]]
) -> None:
    for number, name in enumerate(
        ("Port the scheduler to RISC-V", "Why does SPI2 drop bytes?", "Measure sleep current")
    ):
        await told(
            client, f"other-{number}", hook("session_start", session_name=name), hook("session_stop", 60, exit_code=0)
        )
    await worked(client, "work-1", "Bring up the STM32F405")
    await page.goto("/#/sessions/work-1")
    items = page.locator(".items > li")
    await expect(page.locator(".message.user")).to_contain_text("Bring up the STM32F405")
    await expect(page.locator(".tool")).to_have_count(3)
    await expect(page.locator(".tool.done")).to_have_count(2)
    await expect(page.locator(".tool.failed")).to_contain_text("stm32f405-2 is leased")
    await expect(page.locator(".prose strong")).to_have_text("boot line")
    await expect(page.locator(".message .code")).to_have_text("benchwire run --board stm32f405 src --host lab-1")
    await expect(page.locator(".prose li")).to_have_count(2)
    assert await items.count() == 8, "the results that the model was told are not shown again"
    building = page.locator(".tool", has_text="make BOARD=stm32f405")
    await building.locator("summary").click()
    await expect(building).to_contain_text("unused variable")
    await told(
        client, "work-1", hook("pre_tool", 40, tool_name="bash", tool_use_id="u4", tool_input={"command": "make size"})
    )
    await expect(page.locator(".tool.running")).to_contain_text("make size")
    await expect(building).to_contain_text("unused variable")
    await told(
        client,
        "work-1",
        hook(
            "post_tool",
            41,
            tool_name="bash",
            tool_use_id="u4",
            tool_input={"command": "make size"},
            tool_output="ok",
            duration_s=1.2,
        ),
    )
    await told(client, "work-1", hook("session_stop", 42, exit_code=0, reason="done"))
    await expect(page.locator(".tool.running")).to_have_count(0)
    await expect(page.locator(".mark.good")).to_contain_text("Session finished: done")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Export").click()
    assert len((await (await download.value).path()).read_bytes().splitlines()) >= 15
    for fold in await page.locator(".tool.failed summary").all():
        await fold.click()
    await page.locator(".timeline .scroller").evaluate("one => { one.scrollTop = 0; }")
    await picture(page, "sessions")


async def test_answers_without_an_id_belong_to_the_call_with_the_same_input(
    page: Page, client: httpx.AsyncClient
) -> None:
    one, two = {"command": "make one"}, {"command": "make two"}
    await told(
        client, "old-1", hook("session_start", session_name="Hooks without ids"),
        hook("pre_tool", 1, tool_name="bash", tool_input=one), hook("pre_tool", 2, tool_name="bash", tool_input=two),
        hook("post_tool", 3, tool_name="bash", tool_input=two, tool_output="second"),
    )  # fmt: skip
    await page.goto("/#/sessions/old-1")
    await expect(page.locator(".tool")).to_have_count(2)
    await expect(page.locator(".tool.done")).to_contain_text("make two")
    await expect(page.locator(".tool.running")).to_contain_text("make one")


async def test_what_comes_from_outside_never_acts(page: Page, client: httpx.AsyncClient) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    await told(
        client,
        "hostile",
        hook("session_start", session_name=HOSTILE, agent_name=HOSTILE, project_dir=HOSTILE),
        said("user", HOSTILE, f"```{HOSTILE}\n{HOSTILE}\n```", f"# {HOSTILE}\n- {HOSTILE}\n**{HOSTILE}** `{HOSTILE}`"),
        said("assistant", "[a](javascript:document.title='owned') https://example.org/\"onmouseover=alert(1)"),
        said("assistant", {"type": HOSTILE, "text": HOSTILE}, {"type": "image", "source": {"url": HOSTILE}}),
        hook("pre_tool", tool_name=HOSTILE, tool_use_id="x", tool_input={HOSTILE: HOSTILE, "command": HOSTILE}),
        hook("post_tool", tool_name=HOSTILE, tool_use_id="x", tool_output={HOSTILE: [HOSTILE]}),
        hook("post_tool", tool_name="bash", error=HOSTILE),
        hook("session_stop", exit_code=3, reason=HOSTILE),
    )
    await page.goto("/#/sessions/hostile")
    await expect(page.locator(".detail h2")).to_have_text(HOSTILE)
    await expect(page.locator(".mark.wrong")).to_contain_text(HOSTILE)
    for fold in await page.locator(".tool:not(.failed) summary").all():
        await fold.click()
    await expect(page.locator(".tool .code").last).to_be_visible()
    assert (
        await page.locator(
            "main img, main script, main [onerror], main [onmouseover], main a[href^=javascript]"
        ).count()
        == 0
    )
    assert await page.title() == "Sessions · Benchwire"
    assert [url for url in requests if not url.startswith(str(client.base_url))] == []


async def test_a_long_session_is_read_page_by_page_and_the_page_stays_small(
    page: Page, client: httpx.AsyncClient
) -> None:
    await told(client, "long", *(said("assistant", f"line {number}", after_s=number / 10) for number in range(900)))
    await page.goto("/#/sessions/long")
    await expect(page.locator(".items > li").last).to_contain_text("line 899")
    items = page.locator(".items > li")
    seen = 899
    while seen > 300:
        before = await page.locator(".items > li").first.inner_text()
        await page.locator(".timeline .scroller").evaluate("one => { one.scrollTop = 0; }")
        await expect(page.locator(".items > li").first).not_to_have_text(before, use_inner_text=True)
        seen = int((await items.first.inner_text()).split("line ")[1])
        assert await items.count() <= 400
    await told(client, "long", said("assistant", "the newest word"))
    jump = page.get_by_role("button", name="1 new")
    await expect(jump).to_be_visible()
    await jump.click()
    await expect(items.last).to_contain_text("the newest word")
    assert await items.count() <= 400


async def test_many_sessions_come_in_pages(page: Page, client: httpx.AsyncClient) -> None:
    events = [
        hook("session_start", session_id=f"many-{number}", session_name=f"Many {number}") for number in range(400)
    ]
    assert (await client.post("/events", json=events)).json()["ok"]
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(len(frame))))
    await page.goto("/#/sessions")
    rows = page.locator(".rows li")
    for pages in (1, 2, 3):
        await expect(rows).to_have_count(50 * pages)
        await rows.nth(50 * pages - 1).scroll_into_view_if_needed()
    assert max(frames, default=0) < 10_000, "the list of all sessions is not sent"


async def test_the_list_is_filtered_by_text_and_status(page: Page, client: httpx.AsyncClient) -> None:
    await told(client, "f-1", hook("session_start", session_name="Calibrate ADC"))
    await told(client, "f-2", hook("session_start", session_name="Calibrate DAC"), hook("session_stop", exit_code=0))
    await page.goto("/#/sessions")
    await page.get_by_label("Filter by name or id").fill("calibrate")
    rows = page.locator(".rows li")
    await expect(rows).to_have_count(2)
    await page.get_by_label("Filter by status").select_option("running")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("Calibrate ADC")
    await told(client, "f-1", hook("session_stop", exit_code=0))
    await expect(rows).to_have_count(0)


async def test_a_session_is_started_with_a_prompt_stopped_and_deleted(page: Page, client: httpx.AsyncClient) -> None:
    await page.goto("/#/sessions")
    await page.get_by_role("button", name="New session").click()
    await page.get_by_role("button", name="Start").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.get_by_label("Prompt").fill("Write a driver for the BME280.\nUse I2C.")
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator(".detail h2")).to_have_text("Write a driver for the BME280.")
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator(".detail .badge")).to_have_text("stopped")
    await expect(page.locator(".notice")).to_contain_text("stopped")
    await expect(page.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    await page.get_by_role("button", name="Result").click()
    await expect(page.locator(".notice.wrong")).to_contain_text("without an answer of the assistant")
    session_id = await page.locator(".facts code").first.inner_text()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.locator(".detail .empty")).to_be_visible()
    assert (await client.get(f"/sessions/{session_id}")).status_code == 404


async def test_a_person_speaks_to_a_session_and_decides_whether_a_tool_may_run(
    page: Page, client: httpx.AsyncClient, lab_log: Log
) -> None:
    body = {"session_id": "asks", "session_name": "Asks first", "prompt": "p", "ask_before": ["bash"]}
    assert (await client.post("/sessions", json=body)).is_success
    await page.goto(f"{client.base_url}/#/sessions/asks")
    await expect(page.locator("#link")).to_have_text("live")
    for use in ("toolu_1", "toolu_2"):
        at = datetime.now(UTC)
        asked = ToolApprovalRequested(
            timestamp=at, session_id="asks", tool_use_id=use, tool_name="bash", tool_input={"command": HOSTILE},
            expires_at=at + timedelta(hours=1),
        )  # fmt: skip
        await lab_log.append(asked)
    questions = page.locator(".question")
    await expect(questions).to_have_count(2)
    await expect(questions.first).to_contain_text("May bash run?")
    await expect(questions.first).to_contain_text("<img src=x")
    await questions.first.get_by_role("textbox").fill("not that board")
    await questions.first.get_by_role("button", name="Deny").click()
    await expect(questions).to_have_count(1)
    await questions.first.get_by_role("button", name="Allow").click()
    await expect(questions).to_have_count(0)
    await expect(page.locator(".mark.wrong")).to_contain_text("not that board")
    decided = (await client.get("/sessions/asks/approvals")).json()["approvals"]
    assert [(one["state"], one["reason"]) for one in decided] == [("denied", "not that board"), ("approved", None)]
    await page.get_by_placeholder("Say something to it").fill(f"Use TIM3 {HOSTILE}")
    await page.get_by_role("button", name="Say", exact=True).click()
    await expect(page.locator(".mark").last).to_contain_text("Use TIM3 <img")
    assert "owned" not in await page.title()


async def test_a_child_and_its_parent_are_a_step_apart(page: Page, client: httpx.AsyncClient) -> None:
    await told(client, "parent-1", hook("session_start", session_name="The planner"))
    body = {"session_id": "child-1", "session_name": "The tester", "parent_session_id": "parent-1"}
    assert (await client.post("/sessions", json=body)).status_code == 200
    await page.goto("/#/sessions/child-1")
    await page.locator(".facts").get_by_role("link").click()
    await expect(page.locator(".detail h2")).to_have_text("The planner")
    await page.locator(".facts").get_by_role("link", name="The tester").click()
    await expect(page.locator(".detail h2")).to_have_text("The tester")


async def test_what_was_said_is_found_and_leads_to_its_session(page: Page, client: httpx.AsyncClient) -> None:
    await told(
        client,
        "found-1",
        hook("session_start", session_name="Watchdog"),
        said("assistant", f"The zirconium watchdog bites {HOSTILE}"),
    )
    await page.goto("/#/sessions")
    await page.keyboard.press("/")
    await page.keyboard.type("zirconium")
    await page.keyboard.press("Enter")
    result = page.locator(".results li")
    await expect(result).to_have_count(1)
    await expect(result.locator("mark")).to_have_text("zirconium")
    await result.get_by_role("link").click()
    await expect(page.locator(".detail h2")).to_have_text("Watchdog")
    assert await page.title() == "Sessions · Benchwire"


async def test_usage_is_summed_up_by_day_and_by_model(page: Page, client: httpx.AsyncClient, lab_log: Log) -> None:
    for model, tokens in (("model-a", 1200), ("model-b", 34)):
        await lab_log.append(
            ModelUsed(timestamp=START, session_id="usage-1", model=model, input_tokens=tokens, output_tokens=5)
        )

    async def counted() -> bool:
        answer = await client.get("/sessions/usage-1/usage")
        return answer.status_code == 200 and answer.json()["total"]["calls"] == 2

    await eventually(counted, what="both calls to be counted")
    await page.goto("/#/usage")
    await expect(page.locator("tbody tr", has_text=f"{START:%Y-%m-%d}")).to_have_count(1)
    await page.get_by_role("button", name="by model").click()
    await expect(page.locator("tbody tr", has_text="model-a")).to_contain_text("1,200")


async def test_text_that_is_made_to_be_slow_is_drawn_at_once(page: Page, client: httpx.AsyncClient) -> None:
    """Many short paragraphs, lists and open marks once took a time that grew with the square of their number."""
    texts = (
        "a\n\n" * 16_000,
        "- a\nb\n" * 8_000,
        "**a " * 12_000,
        "`" * 49_999,
        " " * 49_999,
        "```\n" * 12_000,
        "x" * 400_000,
    )
    await told(client, "slow", said("assistant", *texts), said("user", "and then?"))
    await page.goto("/#/sessions/slow")
    await expect(page.locator(".items > li").last).to_contain_text("and then?")
    await page.get_by_role("button", name="380000 characters more").click()
    assert len(await page.locator("pre.long").last.inner_text()) == 400_000
