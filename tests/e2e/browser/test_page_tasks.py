"""Tasks in the browser: one from a lab with a real runner, compiler, simulator and virtual board, and some as the log tells them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Page, expect

from benchwire.deploy import demo_task, lab_file
from benchwire.events.log import Log
from benchwire.events.task import (
    AssertionResult,
    NodeCompiled,
    NodeGenerated,
    NodeRetried,
    NodeSimulated,
    NodeSpec,
    NodeStarted,
    NodeTested,
    TaskCancelled,
    TaskClaimed,
    TaskPlanned,
    TaskRequested,
)
from benchwire.events.testing.eventually import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


@pytest.mark.timeout(180)
async def test_a_firmware_is_followed_from_its_request_to_the_words_of_the_board(
    page: Page, lab_data: Path, picture: Callable[[Page, str], Awaitable[None]]
) -> None:
    lab = lab_file.read(lab_data)
    assert lab is not None
    await page.goto(f"{lab.observability_url}/#/tasks")
    await expect(page.locator("#link")).to_have_text("live")
    wanted = demo_task.request(demo_task.SCRIPTED[:1])
    async with httpx.AsyncClient(base_url=lab.observability_url, timeout=20.0, trust_env=False) as client:
        task_id = (await client.post("/tasks", json=wanted)).json()["task_id"]
    await page.locator(f'.rows a[href="#/tasks/{task_id}"]').click()
    node = page.locator(".node")
    await expect(node.locator(".badge")).to_have_text("success", timeout=90_000)
    await expect(page.locator(".detail .head .badge")).to_have_text("completed")
    await expect(node.locator(".try")).to_have_count(3)
    await expect(node.locator(".deployed")).to_contain_text("SELFTEST PASS")
    await expect(node.locator(".try").last.locator(".assertions .passed")).to_have_count(4)
    first = node.locator(".try").first
    await first.locator("summary").first.click()
    await expect(first).to_contain_text("error:")
    await first.locator("summary").first.click()
    await page.locator(".scroller").last.evaluate("one => { one.scrollTop = 0; }")
    await picture(page, "task")
    await page.goto(f"{lab.observability_url}/#/lab")
    await expect(page.locator(".bars > .completed").first).to_contain_text("written and verified")
    await expect(page.locator(".console li").last).to_contain_text("tick")


async def test_a_row_that_changes_while_it_is_clicked_on_takes_the_click(page: Page, lab_log: Log) -> None:
    async def ask(name: str) -> None:
        now = datetime.now(UTC)
        await lab_log.append(
            TaskRequested(timestamp=now, task_id=f"task-{name}", kind="firmware", prompt=name, board="stm32f405")
        )

    await page.goto("/#/tasks")
    await expect(page.locator("#link")).to_have_text("live")
    await ask("below")
    await ask("pressed")
    row, below = (page.locator(".rows a", has_text=name) for name in ("pressed", "below"))
    await expect(row).to_be_visible()
    await row.hover()
    await page.mouse.down()
    for name in ("pressed", "below"):
        await lab_log.append(TaskCancelled(timestamp=datetime.now(UTC), task_id=f"task-{name}", reason="enough"))
    await expect(below.locator(".badge")).to_have_text("cancelled")  # so the list was made anew
    await page.mouse.up()
    await expect(page.locator(".detail h2")).to_have_text("pressed")
    await expect(row.locator(".badge")).to_have_text("cancelled")


async def test_a_task_is_guided_and_cancelled(page: Page, client: httpx.AsyncClient, lab_log: Log) -> None:
    task_id = "task-guided"
    node = NodeSpec(node_id="stm32", board="stm32f405", description=HOSTILE)
    asserted = [AssertionResult(name="counts", passed=False, detail=HOSTILE)]
    for event in (
        TaskRequested(timestamp=AT, task_id=task_id, kind="firmware", prompt=f"Count to five {HOSTILE}", board="stm32f405", nodes=[node]),
        TaskClaimed(timestamp=AT, task_id=task_id, runner="nobody"),
        TaskPlanned(timestamp=AT, task_id=task_id, nodes=[node], estimated_iterations=2),
        NodeStarted(timestamp=AT, task_id=task_id, node_id="stm32", board="stm32f405"),
        NodeGenerated(timestamp=AT, task_id=task_id, node_id="stm32", iteration=1, sources={HOSTILE: HOSTILE}, model="m"),
        NodeCompiled(timestamp=AT, task_id=task_id, node_id="stm32", iteration=1, ok=True, diagnostics=HOSTILE, flash_bytes=2604),
        NodeSimulated(timestamp=AT, task_id=task_id, node_id="stm32", iteration=1, ok=False, outcome="passed", output=HOSTILE, assertions=asserted),
    ):  # fmt: skip
        await lab_log.append(event)

    async def shown() -> bool:
        return (await client.get(f"/tasks/{task_id}")).status_code == 200

    await eventually(shown, what="the task to be shown")
    await page.goto(f"/#/tasks/{task_id}")
    await expect(page.locator(".assertions .failed")).to_contain_text(HOSTILE)
    await expect(page.locator(".console")).to_contain_text(HOSTILE)
    await lab_log.append(
        NodeRetried(timestamp=AT, task_id=task_id, node_id="stm32", iteration=1, stage="assert", feedback="no five")
    )
    await expect(page.locator(".try .gist")).to_have_text("did not pass: assert")
    await page.get_by_label("Guidance for the next try").fill("use the second timer")
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice")).to_contain_text("The next try will hear of it")
    await page.get_by_text("What happened").click()
    await expect(page.locator(".log")).to_contain_text("use the second timer")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".detail .head .badge")).not_to_have_text("in progress")
    await expect(page.get_by_label("Guidance for the next try")).to_be_hidden()
    assert await page.locator("main img").count() == 0
    assert await page.title() == "Tasks · Benchwire"


async def test_a_task_is_asked_for(page: Page, client: httpx.AsyncClient) -> None:
    await page.goto("/#/tasks")
    await page.keyboard.press("n")
    await page.get_by_label("Prompt").fill("Say hello")
    await page.get_by_label("Board", exact=True).fill("stm32f405")
    await page.get_by_label("The line that the board has to print").fill("HELLO")
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator(".detail h2")).to_have_text("Say hello")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator(".detail .head .badge")).to_have_text("cancelled")


async def test_a_module_of_code_shows_its_tests_and_what_its_quality_is_made_of(
    page: Page, client: httpx.AsyncClient, lab_log: Log
) -> None:
    where: dict[str, Any] = {"timestamp": AT, "task_id": "task-code", "node_id": "adder.py", "iteration": 1}
    nodes = [NodeSpec(node_id="adder.py", description=HOSTILE)]
    for event in (
        TaskRequested(timestamp=AT, task_id="task-code", kind="code", prompt="Add two numbers"),
        TaskPlanned(timestamp=AT, task_id="task-code", nodes=nodes, estimated_iterations=1),
        NodeGenerated(**where, sources={"adder.py": HOSTILE, "test_adder.py": "def test_it(): ..."}, model="m"),
        NodeTested(
            **where, ok=False, outcome="failed", tests_passed=3, tests_failed=1, measures={"tests": 0.75, "coverage": 0.9},
            weights={"tests": 0.6, "coverage": 0.4}, quality_score=0.81, report=HOSTILE,
        ),
    ):  # fmt: skip
        await lab_log.append(event)

    async def shown() -> bool:
        modules = (await client.get("/tasks/task-code/results")).json().get("modules")
        return bool(modules and modules[0]["iterations"])

    await eventually(shown, what="the module to be shown")
    await page.goto(f"{client.base_url}/#/tasks/task-code")
    node = page.locator(".node")
    await expect(node).to_contain_text("3 of 4 passed, quality 0.81")
    await expect(node).to_contain_text("0.90, counts 40 %")
    await expect(node.locator(".steps li")).to_have_text(["write", "test", "done"])
    assert "owned" not in await page.title()
