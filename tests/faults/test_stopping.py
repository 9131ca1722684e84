"""Stops over HTTP of sessions that a real runner process has: while it works, after it was killed, while it is frozen."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchwire.events import child, nats_server
from benchwire.events.bus import Bus
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.testing.eventually import eventually
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

Process = asyncio.subprocess.Process
Runner = Callable[[], AbstractAsyncContextManager[Process]]

WITHIN_S = 60.0
ENDS = ("session_stopped", "session_failed", "session_stop", "session_deleted")
SCRIPT = """
[[turn]]
contains = "slowly"
text = "one two three four five six seven eight nine ten"
pause_s = 60
[[turn]]
text = "Done."
"""


@pytest.fixture
async def client(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody outside."""
    settings = Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    async with (
        running(lambda ready: observe(settings, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        yield client


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[str]:
    """An endpoint of the Messages API that answers from the script."""
    script, port = tmp_path / "script.toml", tmp_path / "model.port"
    script.write_text(SCRIPT)
    argv = [sys.executable, "-m", "benchwire.deploy.scripted", "--script", str(script), "--port-file", str(port)]
    async with child.spawn(argv):
        await eventually(port.exists, within_s=WITHIN_S, what="the scripted model to listen")
        yield f"http://127.0.0.1:{port.read_text().strip()}"


@pytest.fixture
def runner(nats: nats_server.Server, bus: Bus, tmp_path: Path, model: str) -> Runner:
    """Runs the agent runner as a process, always of the same name."""
    names = ("ANTHROPIC_", "BENCHWIRE_", "NATS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)} | {
        "BENCHWIRE_NATS_URL": nats.url, "BENCHWIRE_DATA": str(tmp_path / "runner"), "BENCHWIRE_RUNNER": "runner-1",
        "BENCHWIRE_ACK_WAIT_S": "2", "ANTHROPIC_BASE_URL": model, "HOME": str(tmp_path),
    }  # fmt: skip

    @asynccontextmanager
    async def works() -> AsyncGenerator[Process, None]:
        async with child.spawn([sys.executable, "-m", "benchwire.agent"], env=environment) as process:

            async def there() -> bool:
                assert process.returncode is None, f"the runner ended with {process.returncode}"
                return any(one.pid == process.pid for one in await Presence(bus).everyone())

            await eventually(there, within_s=WITHIN_S, what="the runner to be there")
            yield process

    return works


async def ask(client: httpx.AsyncClient, session_id: str, prompt: str) -> None:
    body = {"session_id": session_id, "session_name": session_id, "prompt": prompt}
    (await client.post("/sessions", json=body)).raise_for_status()


async def stop(client: httpx.AsyncClient, session_id: str) -> dict[str, Any]:
    answer = await client.post(f"/sessions/{session_id}/stop")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def begun(log: Log, session_id: str) -> None:
    await eventually(lambda: log.last_sequence(f"bench.session.{session_id}.message"), within_s=WITHIN_S)


async def types_of(log: Log, session_id: str) -> Counter[str]:
    found = [one async for one in log.read([f"bench.session.{session_id}.*"])]
    return Counter(str(one.event.__struct_config__.tag) for one in found)


async def finishes(client: httpx.AsyncClient, session_id: str) -> None:
    """A session that runs to its end shows that the runner works, and that it has got to everything that was asked before."""
    await ask(client, session_id, "quickly")

    async def over() -> bool:
        return bool((await client.get(f"/sessions/{session_id}/status")).json()["status"] == "finished")

    await eventually(over, within_s=WITHIN_S, what=f"{session_id} to be finished")


async def test_a_runner_that_works_confirms_the_stop(client: httpx.AsyncClient, log: Log, runner: Runner) -> None:
    async with runner():
        await ask(client, "s", "slowly")
        await begun(log, "s")
        told = await stop(client, "s")
        assert (told["status"], told["session_status"]) == ("stopped", "stopped")
        assert (await types_of(log, "s"))["session_stopped"] == 1
        assert (await client.post("/sessions/s/stop")).status_code == 409
        await finishes(client, "next")


async def test_what_was_stopped_while_no_runner_was_there_is_not_begun_by_the_next_one(
    client: httpx.AsyncClient, log: Log, runner: Runner
) -> None:
    async with runner() as process:
        await ask(client, "held", "slowly")
        await begun(log, "held")
        process.kill()
        await child.exited(process)
    await ask(client, "queued", "slowly")
    queued, held = await asyncio.gather(stop(client, "queued"), stop(client, "held"))
    assert (queued["status"], queued["session_status"]) == ("stopped", "stopped")
    assert (held["status"], held["session_status"]) == ("stopped", "failed")
    assert "runner-1 is gone" in held["message"]
    async with runner():
        await finishes(client, "next")
    assert await types_of(log, "queued") == Counter(["session_requested", "session_stopped"])
    assert (await types_of(log, "held"))["session_claimed"] == 1
    for session_id, status in (("queued", "stopped"), ("held", "failed")):
        assert (await client.get(f"/sessions/{session_id}")).json()["session"]["status"] == status


async def test_a_session_of_a_frozen_runner_ends_once_whatever_the_runner_does_when_it_wakes(
    client: httpx.AsyncClient, log: Log, runner: Runner
) -> None:
    async with runner() as process:
        await ask(client, "s", "slowly")
        await begun(log, "s")
        process.send_signal(signal.SIGSTOP)
        try:
            told = await stop(client, "s")
            assert told["status"] in ("stopping", "stopped")

            async def over() -> bool:
                session = (await client.get("/sessions/s")).json()["session"]
                return session["status"] in ("failed", "stopped")

            await eventually(over, within_s=WITHIN_S, what="the session to be closed")
        finally:
            process.send_signal(signal.SIGCONT)
        await finishes(client, "next")
    types = await types_of(log, "s")
    assert sum(types[kind] for kind in ENDS) == 1
    assert types["session_start"] == 1
