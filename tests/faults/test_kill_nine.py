"""kill -9 of any part in the middle of the main job: nothing acknowledged is lost, nothing is doubled, and the task ends.

The parts, the boards, the compilers, QEMU, esptool and pyocd are the real ones; only the model is scripted.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from tests.faults.harness import invariants

from benchwire.deploy.settings import Settings
from benchwire.deploy.supervisor import Lab, running
from benchwire.events import nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.flash import FlashStarted
from benchwire.events.log import Log
from benchwire.events.projection import Projection
from benchwire.events.settings import NatsSettings
from benchwire.events.task import NodeImageStored, TaskEvent, TaskFailed, TaskFinished
from benchwire.events.testing.eventually import eventually

HOST = "lab-1"
ASSERTIONS = [{"name": "boots", "pattern": "BOOT"}, {"name": "tests itself", "pattern": "SELFTEST PASS"}]
TASK = {
    "kind": "firmware",
    "prompt": "count, test yourself, then tick",
    "simulation_timeout_s": 3,
    "nodes": [
        {"node_id": board, "board": board, "assertions": ASSERTIONS, "expect": "SELFTEST PASS"}
        for board in ("stm32f405", "esp32c3")
    ],
}
PARTS = ("observability", "documents", "agent", "flash-agent", "nats")


@asynccontextmanager
async def lab_in(directory: Path) -> AsyncIterator[Lab]:
    settings = Settings(
        data=directory, host=HOST, observability_port=0, documents_port=0, nats_port=0, virtual=["stm32f405", "esp32c3"]
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BENCHWIRE_"))}
    environment = inherited | {"BENCHWIRE_ACK_WAIT_S": "3"}  # how long a queue waits for who was killed
    async with running(settings, environment=environment) as lab:
        yield lab


class Hooks:
    """A client that posts a numbered event again and again, and remembers which were acknowledged. It never repeats one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.acknowledged: list[invariants.Acked] = []
        self._posted = 0

    async def post_for_ever(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=10) as http:
            while True:
                await self._post(http)
                await asyncio.sleep(0.01)

    async def _post(self, http: httpx.AsyncClient) -> None:
        self._posted += 1
        name = f"tool-{self._posted}"
        body = {
            "event_type": "pre_tool",
            "session_id": "hooks",
            "session_name": "hooks",
            "timestamp": "2026-01-17T12:00:00",
            "tool_name": "Bash",
            "tool_use_id": name,
            "tool_input": {},
        }
        try:
            answer = await http.post("/events", json=body)
        except httpx.TransportError:  # the door itself is down
            return
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 200:
            self.acknowledged.append(("pre_tool", name))


async def has(bus: Bus, *kinds: type) -> bool:
    of_job = Log(bus).read(["bench.task.>", "bench.flash.>"])  # what the client posts is much more
    return any([isinstance(one.event, kinds) async for one in of_job])


WHEN = {"while it is built": NodeImageStored, "while it is flashed": FlashStarted}
OFTEN = [
    ("while it is built", "agent"), ("while it is built", "observability"), ("while it is built", "nats"),
    ("while it is flashed", "agent"), ("while it is flashed", "flash-agent"), ("while it is flashed", "documents"),
]  # fmt: skip
RARELY = [(moment, part) for part in PARTS for moment in WHEN if (moment, part) not in OFTEN]
SCENES = [*OFTEN, *(pytest.param(*scene, marks=pytest.mark.long) for scene in RARELY)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("moment", "part"), SCENES)
async def test_a_part_that_is_killed_in_the_middle_of_the_job_loses_and_doubles_nothing(
    moment: str, part: str, lab_dir: Path
) -> None:
    async with lab_in(lab_dir) as lab:
        hooks = Hooks(lab.site.observability_url)
        async with connected(NatsSettings(nats_url=lab.site.nats_url), name="witness") as bus:
            posting = asyncio.create_task(hooks.post_for_ever())
            async with httpx.AsyncClient(base_url=lab.site.observability_url, timeout=10) as http:
                answer = await http.post("/tasks", json=TASK)
            assert answer.status_code == 200, answer.text
            task_id = answer.json()["task_id"]
            await eventually(lambda: has(bus, WHEN[moment]), within_s=60, what=moment)
            killed = lab.pids[part]
            os.kill(killed, signal.SIGKILL)
            await eventually(
                lambda: lab.states[part] == "healthy" and lab.pids[part] != killed, within_s=60, what=f"{part} is back"
            )
            await eventually(lambda: has(bus, TaskFinished, TaskFailed), within_s=90, what="the task ends")
            await eventually(lambda: settled(lab), within_s=60, what="observability is healthy and shows the end")
            acknowledged = len(hooks.acknowledged)
            await eventually(lambda: len(hooks.acknowledged) > acknowledged, what="events are taken again")
            posting.cancel()
            shown = await shown_status(lab, task_id)
    await check_the_log(lab_dir, hooks, task_id, shown)


async def settled(lab: Lab) -> bool:
    async with httpx.AsyncClient(base_url=lab.site.observability_url, timeout=10) as http:
        return (await http.get("/health")).status_code == 200


async def shown_status(lab: Lab, task_id: str) -> str:
    async with httpx.AsyncClient(base_url=lab.site.observability_url, timeout=10) as http:
        return str((await http.get(f"/tasks/{task_id}")).json()["status"])


async def check_the_log(directory: Path, hooks: Hooks, task_id: str, shown: str) -> None:
    """The lab is down now; only its log is asked, and each service's rows are compared with rows built from nothing."""
    async with (
        nats_server.running(directory / "nats") as server,
        connected(NatsSettings(nats_url=server.url), name="auditor") as bus,
    ):
        story = await invariants.story(bus)
        invariants.check([invariants.acknowledged_once(story, hooks.acknowledged)])
        assert hooks.acknowledged

        ends = [one.event for one in story if isinstance(one.event, TaskFinished | TaskFailed)]
        assert len(ends) == 1, ends
        assert not isinstance(ends[0], TaskFailed) or ends[0].reason
        assert shown == ("completed" if isinstance(ends[0], TaskFinished) else "failed")
        of_task = [one.event for one in story if isinstance(one.event, TaskEvent) and one.event.task_id == task_id]
        assert of_task[-1] is ends[0], "nothing happens to a task after its end"

        rows = invariants.rows_in(directory, flash_host=HOST, runner=True, doors=True)
        for one in rows:
            async with Projection(bus, one.file, one.schema, with_snapshots=False).running():
                pass  # what came while the service itself was going down
        invariants.check([await invariants.rows_equal_a_rebuild(bus, rows, directory / "fresh")])
