"""Sessions, with a real runner process, a real nats-server and an endpoint that answers from a script."""

import asyncio
import contextlib
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from benchwire.events import codec
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.live import SessionDelta
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStarted,
    SessionStopped,
    SessionStopRequested,
    ToolCalled,
    ToolReturned,
)
from benchwire.events.testing.eventually import eventually

StartModel = Callable[[str], AbstractAsyncContextManager[str]]
StartAgent = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]
Happened = Callable[[str], Awaitable[list[Event]]]

OVER = (SessionEnded, SessionFailed, SessionStopped)

HELLO = """
[[turn]]
attempt = 1
text = "I look around first."
[[turn.tool]]
name = "bash"
input = { command = "echo one; echo two >&2; pwd" }
[[turn.tool]]
name = "write_file"
input = { path = "a/b.txt", content = "kept" }
[[turn]]
attempt = 2
text = "Now I read it."
tool = { name = "read_file", input = { path = "a/b.txt" } }
[[turn]]
text = "All done."
"""
SLOW = """
[[turn]]
text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
pause_s = 600
"""
# A grandchild in a session of its own is what a group kill alone would miss. 0000 becomes what no other test sleeps for.
SLEEPER = """
[[turn]]
attempt = 1
text = "I wait."
tool = { name = "bash", input = { command = "setsid sleep 00001 & (sleep 00002 & sleep 00003) & sleep 00004" } }
[[turn]]
text = "Done."
"""


def a_nap() -> str:
    """The beginning of a number of seconds that no other test sleeps for."""
    return str(10_000_000 + random.randrange(10_000_000))


def requested(session_id: str = "s-1", prompt: str = "say hello", **more: Any) -> SessionRequested:
    return SessionRequested(
        timestamp=datetime.now(UTC), session_id=session_id, session_name="hello", prompt=prompt, **more
    )


def stop(session_id: str = "s-1") -> SessionStopRequested:
    return SessionStopRequested(timestamp=datetime.now(UTC), session_id=session_id, reason="enough")


async def end_of(happened: Happened, session_id: str = "s-1", *, within_s: float = 60) -> Event:
    async def over() -> Event | None:
        events = await happened(f"bench.session.{session_id}.>")
        return next((one for one in events if isinstance(one, OVER)), None)

    event: Event = await eventually(over, within_s=within_s, what=f"{session_id} to be over")
    return event


def sleepers(nap: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes()
            if b"sleep\0" + nap.encode() in line:
                found.append(line.decode())
    return found


async def test_a_session_runs_to_its_end_with_every_step_in_the_log(
    bus: Bus, log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    spoken: list[str] = []

    async def hear(message: Msg) -> None:
        event = codec.decode(message.data)
        assert isinstance(event, SessionDelta)
        spoken.append(event.text)

    await bus.nc.subscribe("live.session.s-1.delta", cb=hear)
    async with model(HELLO) as url, agent(url=url):
        await log.append(requested())
        assert isinstance(await end_of(happened), SessionEnded)
    events = await happened("bench.session.s-1.>")
    turn = [MessageSent, ModelUsed]
    assert [type(one) for one in events] == [
        SessionRequested, SessionClaimed, SessionStarted, MessageSent,
        *turn, ToolCalled, ToolReturned, ToolCalled, ToolReturned, *turn, ToolCalled, ToolReturned, *turn,
        SessionEnded,
    ]  # fmt: skip
    messages = [one for one in events if isinstance(one, MessageSent)]
    assert messages[0].role == "user"
    assert messages[-1].content == [{"type": "text", "text": "All done."}]
    returned = [one for one in events if isinstance(one, ToolReturned)]
    assert "one\ntwo\n" in returned[0].tool_output
    assert "[exit code 0]" in returned[0].tool_output
    assert returned[2].tool_output == "kept"
    called = [one for one in events if isinstance(one, ToolCalled)]
    assert [one.tool_use_id for one in called] == [one.tool_use_id for one in returned]
    everything = "I look around first.Now I read it.All done."
    await eventually(lambda: "".join(spoken) == everything, what="all that was spoken")
    used = [one for one in events if isinstance(one, ModelUsed)]
    assert all(one.output_tokens > 0 for one in used)


async def test_a_stop_in_the_middle_of_a_model_call_ends_it(
    bus: Bus, log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    speaks = asyncio.Event()

    async def hear(_: Msg) -> None:
        speaks.set()

    await bus.nc.subscribe("live.session.s-1.delta", cb=hear)
    async with model(SLOW) as url, agent(url=url):
        await log.append(requested())
        await asyncio.wait_for(speaks.wait(), 30)
        await log.append(stop())
        end = await end_of(happened)
    assert isinstance(end, SessionStopped)
    assert end.reason == "enough"


@pytest.mark.parametrize("sandbox", ["auto", "limits"])
async def test_a_stop_in_the_middle_of_a_tool_ends_its_whole_process_tree(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened, sandbox: str
) -> None:
    nap = a_nap()
    async with model(SLEEPER.replace("0000", nap)) as url, agent(url=url, sandbox=sandbox):
        await log.append(requested())
        await eventually(lambda: len(sleepers(nap)) == 4, what="four sleepers")
        await log.append(stop())
        assert isinstance(await end_of(happened), SessionStopped)
        await eventually(lambda: sleepers(nap) == [], what="the end of what was killed")


async def test_of_two_runners_exactly_one_runs_a_session(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    async with model(HELLO) as url, agent("runner-1", url=url), agent("runner-2", url=url):
        # The same request twice is what a client that lost the answer leaves behind: each runner may get one of them.
        await asyncio.gather(*[log.append(requested(f"s-{one}")) for one in range(4) for _ in range(2)])
        for one in range(4):
            assert isinstance(await end_of(happened, f"s-{one}"), SessionEnded)
    for one in range(4):
        events = await happened(f"bench.session.s-{one}.>")
        starts = [event for event in events if isinstance(event, SessionStarted)]
        runners = {event.runner for event in events if isinstance(event, SessionClaimed)}
        assert len(runners) == 1
        assert (
            1 <= len(starts) <= 2
        )  # a second request that comes after the end is a second run, but never beside the first


async def test_a_session_that_nobody_took_yet_is_stopped_without_running(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    await log.append(requested())
    await log.append(stop())
    async with model(HELLO) as url, agent(url=url):
        assert isinstance(await end_of(happened), SessionStopped)
    assert [type(one) for one in await happened("bench.session.s-1.>")] == [
        SessionRequested,
        SessionStopRequested,
        SessionStopped,
    ]


async def test_without_a_model_a_session_fails_with_a_sentence(log: Log, agent: StartAgent, happened: Happened) -> None:
    async with agent():
        await log.append(requested())
        end = await end_of(happened)
    assert isinstance(end, SessionFailed)
    assert "ANTHROPIC_API_KEY" in end.reason


@pytest.mark.parametrize(
    "case",
    [
        ("status = 401, type = 'authentication_error', message = 'invalid x-api-key'", "check ANTHROPIC_API_KEY"),
        ("status = 529, type = 'overloaded_error', message = 'Overloaded'", "overloaded"),
        ("status = 404, type = 'not_found_error', message = 'model: x'", "BENCHWIRE_MODEL"),
    ],
)
async def test_an_error_of_the_endpoint_becomes_a_reason(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened, case: tuple[str, str]
) -> None:
    script, sentence = case
    async with model(f"[[turn]]\nerror = {{ {script} }}\n") as url, agent(url=url, model_retries="0"):
        await log.append(requested())
        end = await end_of(happened)
    assert isinstance(end, SessionFailed)
    assert sentence in end.reason
    assert "Traceback" not in end.reason


async def test_an_endpoint_that_is_not_there_becomes_a_reason(log: Log, agent: StartAgent, happened: Happened) -> None:
    async with agent(url="http://127.0.0.1:9", model_retries="0"):
        await log.append(requested())
        end = await end_of(happened)
    assert isinstance(end, SessionFailed)
    assert "no connection to the model endpoint http://127.0.0.1:9" in end.reason


async def test_sigterm_gives_a_session_back_and_the_next_runner_goes_on_with_it(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened, bus: Bus
) -> None:
    nap = a_nap()
    async with model(SLEEPER.replace("0000", nap)) as url:
        async with agent("runner-1", url=url) as process:
            await log.append(requested())
            await eventually(lambda: len(sleepers(nap)) == 4, what="four sleepers")
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            await eventually(lambda: sleepers(nap) == [], what="the end of what was killed")
            assert not await Presence(bus).is_there("agent", "runner-1")
        async with agent("runner-2", url=url):
            assert isinstance(await end_of(happened), SessionEnded)
    events = await happened("bench.session.s-1.>")
    claims = [(one.runner, one.attempt) for one in events if isinstance(one, SessionClaimed)]
    assert claims == [("runner-1", 1), ("runner-2", 2)]
    assert len([one for one in events if isinstance(one, MessageSent) and one.role == "user"]) == 1
    assert (
        len([one for one in events if isinstance(one, ToolCalled)]) == 1
    )  # an interrupted call is not run again unasked
