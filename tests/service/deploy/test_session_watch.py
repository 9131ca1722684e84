"""`benchwire session watch` as a person runs it, against a real lab: what the lab knows, and what the shell gets."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchwire.events import child, nats_server
from benchwire.events.testing.eventually import eventually
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

Process = asyncio.subprocess.Process
Watch = Callable[..., Awaitable[Process]]

WITHIN_S = 60.0
FOREVER = "while :; do sleep 0.1; done"


@pytest.fixture
def settings(nats: nats_server.Server, tmp_path: Path) -> Settings:
    """Of a lab of this test's own."""
    return Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody else who looks at that lab."""
    async with running(lambda ready: observe(settings, on_ready=ready)) as port, looking(port) as client:
        yield client


@asynccontextmanager
async def looking(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
        yield client


@pytest.fixture
async def watch(tmp_path: Path) -> AsyncIterator[Watch]:
    """Runs `benchwire session watch s` with a shell command."""
    started: list[Process] = []

    async def run(
        port: int | None, command: str, *options: str, session_id: str = "s", stdin: int | None = None
    ) -> Process:
        names = ("BENCHWIRE_", "NATS_", "ANTHROPIC_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
        argv = [sys.executable, "-m", "benchwire.deploy", "session", "watch", session_id]
        argv += ["--url", f"http://127.0.0.1:{port}", *options, "--", "sh", "-c", command]
        process = await asyncio.create_subprocess_exec(
            *child.dying_with_owner(argv),
            env=environment,
            cwd=tmp_path,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process: Process) -> tuple[int, str, str]:
    """Its exit code, what it printed and what it complained about."""
    out, err = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def events_of(client: httpx.AsyncClient, session_id: str = "s") -> list[dict[str, Any]]:
    return list((await client.get(f"/events/{session_id}")).json()["events"])


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(one["content"][0]["text"] for one in events if one["event_type"] == "message")


async def prints(client: httpx.AsyncClient, text: str, session_id: str = "s") -> None:
    async def told() -> bool:
        return text in text_of(await events_of(client, session_id))

    await eventually(told, within_s=WITHIN_S, what=f"{session_id} to print {text}")


async def status(client: httpx.AsyncClient, session_id: str = "s") -> str:
    return str((await client.get(f"/sessions/{session_id}")).json()["session"]["status"])


async def test_a_command_is_a_session_with_all_that_it_prints_and_its_exit_code(
    client: httpx.AsyncClient, watch: Watch, tmp_path: Path
) -> None:
    command = "read line; echo got $line; printf '\\303'; sleep 0.2; printf '\\244\\n'; echo $BENCHWIRE_SESSION; exit 3"
    process = await watch(
        client.base_url.port, command, "--name", "N", "--agent", "a", "--parent", "P", stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(b"this\n")
    process.stdin.close()
    code, out, _ = await ended(process)
    assert (code, out) == (3, "got this\nä\ns\n")
    events = await events_of(client)
    assert [events[0]["event_type"], events[-1]["event_type"]] == ["session_start", "session_stop"]
    assert text_of(events) == out
    assert (events[-1]["exit_code"], events[-1]["reason"]) == (3, "exit code 3")
    session = (await client.get("/sessions/s")).json()["session"]
    assert {name: session[name] for name in ("session_name", "agent_name", "parent_session_name", "status")} == {
        "session_name": "N", "agent_name": "a", "parent_session_name": "P", "status": "finished"
    }  # fmt: skip
    assert session["project_dir"] == str(tmp_path)


async def test_a_chatty_command_makes_few_messages_and_loses_nothing(client: httpx.AsyncClient, watch: Watch) -> None:
    code, out, _ = await ended(await watch(client.base_url.port, "seq 1 60000; kill -9 $$"))
    assert code == 128 + signal.SIGKILL
    assert out == "".join(f"{number}\n" for number in range(1, 60001))
    events = await events_of(client)
    assert text_of(events) == out
    assert len(events) < 40
    assert events[-1]["reason"] == "ended by SIGKILL"


async def test_a_stop_in_the_lab_ends_the_command_and_what_it_began_and_the_session_stays_stopped(
    client: httpx.AsyncClient, watch: Watch
) -> None:
    nested = shlex.join([
        sys.executable, "-m", "benchwire.deploy", "session", "watch", "below", "--url", str(client.base_url),
        "--", "sh", "-c", f"echo below; {FOREVER}",
    ])  # fmt: skip
    process = await watch(client.base_url.port, f"{nested}; {FOREVER}")
    await prints(client, "below", "below")
    told = (await client.post("/sessions/s/stop")).json()
    assert (told["status"], told["children_stopped"]) == ("stopped", ["below"])
    code, _, complained = await ended(process)
    assert code == 128 + signal.SIGTERM
    assert "stopped in the lab" in complained
    assert [await status(client, one) for one in ("s", "below")] == ["stopped", "stopped"]
    last = (await events_of(client))[-1]
    assert (last["event_type"], last["reason"].partition(",")[0]) == ("session_stop", "stopped on request")


async def test_a_session_that_runs_is_not_watched_twice_and_one_that_ended_goes_on(
    client: httpx.AsyncClient, watch: Watch
) -> None:
    process = await watch(client.base_url.port, f"trap 'echo bye; exit 9' INT; echo begun; {FOREVER}")
    await prints(client, "begun")
    code, _, complained = await ended(await watch(client.base_url.port, "true"))
    assert (code, "'s' runs already" in complained) == (2, True)
    process.send_signal(signal.SIGINT)
    code, out, _ = await ended(process)
    assert (code, out) == (9, "begun\nbye\n")
    assert await status(client) == "finished"
    assert (await ended(await watch(client.base_url.port, "echo again")))[0] == 0
    kinds = [one["event_type"] for one in await events_of(client)]
    assert kinds.count("session_start") == kinds.count("session_stop") == 2
    assert await status(client) == "finished"


async def test_a_lab_that_is_away_for_a_while_hears_everything_once_and_in_order(
    settings: Settings, watch: Watch, tmp_path: Path
) -> None:
    go_on, first = tmp_path / "go-on", "for n in $(seq 1 500); do echo $n; done"
    command = f"{first}; until [ -e {go_on} ]; do sleep 0.05; done; for n in $(seq 501 1000); do echo $n; done; exit 4"
    async with running(lambda ready: observe(settings, on_ready=ready)) as port, looking(port) as client:
        process = await watch(port, command)
        await prints(client, "500\n")
    go_on.touch()
    assert process.stderr is not None
    complained = await asyncio.wait_for(process.stderr.readline(), WITHIN_S)
    assert b"the lab is away, the command runs on" in complained
    again = Settings(nats_url=settings.nats_url, data=settings.data, observability_port=port)
    async with running(lambda ready: observe(again, on_ready=ready)) as port, looking(port) as client:
        code, out, _ = await ended(process)
        assert code == 4
        assert out == "".join(f"{number}\n" for number in range(1, 1001))
        events = await events_of(client)
        assert text_of(events) == out
        assert events[-1]["exit_code"] == 4
        assert await status(client) == "finished"


async def test_without_a_lab_or_without_the_command_nothing_is_begun(
    client: httpx.AsyncClient, watch: Watch, tmp_path: Path
) -> None:
    code, _, complained = await ended(await watch(9, f"touch {tmp_path}/ran"))
    assert (code, "no lab answers" in complained) == (1, True)
    assert not (tmp_path / "ran").exists()
    code, _, complained = await ended(await watch(client.base_url.port, "true", session_id="a.b"))
    assert (code, "'a.b' cannot be used" in complained) == (2, True)
