"""Two agent runners share the queues, and one is killed with kill -9 in the middle: everything ends once, and no answered call runs twice.

Runners, compilers, QEMU and the measuring of code are the real ones; the model plays a cassette. What a session's command did is seen outside of
its sandbox: each writes its name to a file that all can write to. Chance follows from a seed, which is printed: BENCHWIRE_SEED=7 plays one again,
BENCHWIRE_KILLS=50 makes the long one longer.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.faults.harness.cassette import CODE_TASK, FIRMWARE_TASK, bash, cassette, conversation
from tests.faults.harness.invariants import ENDS_OF_SESSION, ENDS_OF_TASK

from benchwire.events import child, nats_server
from benchwire.events.bus import Bus
from benchwire.events.catalog import FACTS
from benchwire.events.event import Event
from benchwire.events.log import Log, Recorded
from benchwire.events.presence import Presence
from benchwire.events.session import (
    MessageSent,
    SessionClaimed,
    SessionEnded,
    SessionRequested,
    ToolCalled,
    ToolReturned,
)
from benchwire.events.task import TaskClaimed, TaskFinished, TaskRequested
from benchwire.events.testing.eventually import eventually
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

RUNNERS = ("runner-1", "runner-2")
PATIENCE_S = 100.0


def played(witness: Path, sessions: dict[str, int]) -> dict[str, Any]:
    """The cassette. ``sessions`` says how many calls each has; a module and a firmware fail their first try."""

    def call(name: str) -> dict[str, Any]:
        return bash(f"Now {name}.", f"echo {name} >>{witness}; sleep 0.4")

    return cassette(
        *(
            conversation(
                {"first": f"work as {name};"},
                *(call(f"{name}.{number}") for number in range(calls)),
                {"text": f"Done, {name}."},
                call(f"{name}.again"),
                {"text": f"Done again, {name}."},
            )
            for name, calls in sessions.items()
        )
    )


class Story:
    """What the log holds."""

    def __init__(self, facts: Sequence[Recorded]) -> None:
        self.facts = facts

    def of(self, *kinds: type[Event], name: str | None = None) -> list[Any]:
        """The events of these kinds, of one session or task or of all."""
        return [one.event for one in self.facts if isinstance(one.event, kinds) and name in (None, _name(one.event))]

    def held_by(self, runner: str) -> set[str]:
        """Sessions and tasks that were claimed last by it, and have not ended."""
        last: dict[str, str] = {}
        for one in self.of(SessionClaimed, TaskClaimed, *ENDS_OF_SESSION, *ENDS_OF_TASK):
            if isinstance(one, SessionClaimed | TaskClaimed):
                last[_name(one)] = one.runner
            else:
                last.pop(_name(one), None)
        return {name for name, holder in last.items() if holder == runner}

    def over(self) -> bool:
        """Whether all that was asked for has ended."""
        asked, ended = self.of(SessionRequested, TaskRequested), self.of(*ENDS_OF_SESSION, *ENDS_OF_TASK)
        return len(ended) >= len(asked)


def _name(event: Any) -> str:
    return str(getattr(event, "session_id", None) or getattr(event, "task_id", ""))


class Scene:
    """Two runners, each with data of its own, and who is outside of the lab."""

    def __init__(self, directory: Path, environment: dict[str, str], bus: Bus, http: httpx.AsyncClient) -> None:
        self.http = http
        self._directory = directory
        self._environment = environment
        self._bus = bus
        self._stack = AsyncExitStack()
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        async with self._stack:
            await asyncio.gather(*map(self.start, RUNNERS))
            yield

    async def start(self, name: str) -> None:
        """Starts a runner, or starts it again."""
        own = {"BENCHWIRE_RUNNER": name, "BENCHWIRE_DATA": str(self._directory / name)}
        journal = self._stack.enter_context(self.journal(name).open("ab"))
        argv = [sys.executable, "-m", "benchwire.agent"]
        spawned = child.spawn(argv, env=self._environment | own, stderr=journal)
        process = self._processes[name] = await self._stack.enter_async_context(spawned)

        async def there() -> bool:
            assert process.returncode is None, f"{name} ended with {process.returncode}"
            return any(one.pid == process.pid for one in await Presence(self._bus).everyone())

        await eventually(there, within_s=PATIENCE_S, what=f"{name} to be there")

    def journal(self, name: str) -> Path:
        """What a runner says of itself."""
        return self._directory / f"{name}.log"

    def send(self, name: str, number: signal.Signals) -> None:
        """SIGSTOP, or SIGCONT."""
        self._processes[name].send_signal(number)

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        self._processes[name].kill()
        await child.exited(self._processes[name])

    async def story(self) -> Story:
        return Story([one async for one in Log(self._bus).read([FACTS])])

    async def ask(self, *, code: int, firmware: int, sessions: Sequence[str]) -> None:
        """All of it at once."""
        bodies = [*([CODE_TASK] * code), *([FIRMWARE_TASK] * firmware)]
        answers = await asyncio.gather(
            *(self.http.post("/tasks", json=body) for body in bodies),
            *(self.http.post("/sessions", json=asked(name)) for name in sessions),
        )
        assert [one.text for one in answers if one.status_code != 200] == []

    async def until_over(self) -> Story:
        async def over() -> Story | None:
            story = await self.story()
            return story if story.over() else None

        story: Story = await eventually(over, within_s=PATIENCE_S * 2, what="all that was asked for to end")
        return story


def asked(name: str) -> dict[str, Any]:
    return {"session_id": name, "session_name": name, "prompt": f"work as {name}; go"}


@pytest.fixture
async def scene(
    request: pytest.FixtureRequest, nats: nats_server.Server, bus: Bus, lab_dir: Path, witness: Path
) -> AsyncIterator[Scene]:
    """The parameter of this fixture says how many calls each session has."""
    script, port = lab_dir / "cassette.json", lab_dir / "model.port"
    script.write_text(json.dumps(played(witness, request.param)))
    argv = [sys.executable, "-m", "benchwire.deploy.scripted", "--script", str(script), "--port-file", str(port)]
    names = ("ANTHROPIC_", "BENCHWIRE_", "NATS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)} | {
        "BENCHWIRE_NATS_URL": nats.url, "BENCHWIRE_ACK_WAIT_S": "2", "BENCHWIRE_SANDBOX": "limits",
        # Neither can have everything.
        "BENCHWIRE_MAX_TASKS": "3", "BENCHWIRE_MAX_SESSIONS": str(len(request.param) - 2), "HOME": str(lab_dir),
    }  # fmt: skip
    settings = Settings(nats_url=nats.url, data=lab_dir / "data", observability_port=0)
    async with (
        child.spawn(argv),
        running(lambda ready: observe(settings, on_ready=ready)) as door,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{door}", timeout=PATIENCE_S) as http,
    ):
        await eventually(port.exists, within_s=PATIENCE_S, what="the endpoint to listen")
        environment["ANTHROPIC_BASE_URL"] = f"http://127.0.0.1:{port.read_text().strip()}"
        scene = Scene(lab_dir, environment, bus, http)
        async with scene.open():
            yield scene


@pytest.fixture
def witness(lab_dir: Path) -> Path:
    """What commands write their names to, whoever they run as."""
    lab_dir.chmod(0o755)
    file = lab_dir / "ran"
    file.touch()
    file.chmod(0o666)
    return file


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("BENCHWIRE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    sys.stdout.write(f"BENCHWIRE_SEED={seed}\n")
    return random.Random(seed)


def began(story: Story, session_id: str) -> list[str]:
    """The names of the calls that began, in order."""
    return [str(one.tool_input["command"]).split()[1] for one in story.of(ToolCalled, name=session_id)]


def ran(witness: Path) -> list[str]:
    """The names of the calls that did something, in order."""
    return witness.read_text().split()


def check(story: Story, witness: Path) -> None:
    """Everything has its end, the good one, and only one; and no command ran twice."""
    assert len({one.id for one in story.facts}) == len(story.facts)
    requests = Counter(_name(one) for one in story.of(SessionRequested, TaskRequested))
    ends = story.of(*ENDS_OF_SESSION, *ENDS_OF_TASK)
    assert Counter(map(_name, ends)) == requests
    assert [one for one in ends if not isinstance(one, SessionEnded | TaskFinished)] == []
    for name in requests:
        of_it = [one.event for one in story.facts if _name(one.event) == name]
        assert isinstance(of_it[-1], SessionEnded | TaskFinished), f"something happened to {name} after its end"

    called = Counter((one.session_id, one.tool_use_id) for one in story.of(ToolCalled))
    answered = Counter((one.session_id, one.tool_use_id) for one in story.of(ToolReturned))
    assert called == answered
    assert set(called.values()) == {1}
    times = Counter(ran(witness))
    assert [name for name, count in times.items() if count != 1] == []
    told = {str(one.tool_input["command"]).split()[1] for one in story.of(ToolReturned) if one.error is None}
    assert told <= set(times)
    broken_off = [one for one in story.of(ToolReturned) if one.error is not None]
    sys.stdout.write(f"{len(story.facts)} facts, {len(times)} calls, {len(broken_off)} of them broken off\n")


def last_words(story: Story, name: str) -> str:
    said = [one for one in story.of(MessageSent, name=name) if one.role == "assistant"]
    return str(said[-1].content[0]["text"])


FEW = {"early": 1, **{f"s-{number}": 5 for number in range(4)}}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scene", [FEW], indirect=True, ids=["few"])
async def test_what_a_killed_runner_had_ends_once_at_the_other_and_a_session_that_it_ended_goes_on_there(
    scene: Scene, witness: Path, chance: random.Random
) -> None:
    await scene.ask(code=0, firmware=0, sessions=["early"])
    story = await scene.until_over()
    (victim,) = {one.runner for one in story.of(SessionClaimed)}
    (other,) = set(RUNNERS) - {victim}
    late = [name for name in FEW if name != "early"]
    await scene.ask(code=2, firmware=2, sessions=late)
    calls = chance.randint(1, 3)

    async def in_the_middle() -> set[str] | None:
        story = await scene.story()
        held = story.held_by(victim)
        in_a_call = [name for name in held if calls <= len(story.of(ToolReturned, name=name)) < len(began(story, name))]
        at_work = any(began(story, name)[-1] in ran(witness) for name in in_a_call)
        return held if at_work and not held <= set(late) else None

    await eventually(
        in_the_middle, within_s=PATIENCE_S, what=f"{victim} to have a task, and a session in call {calls + 1}"
    )
    await scene.kill(victim)
    held = (await scene.story()).held_by(victim)
    assert held
    story = await scene.until_over()
    for name in held:
        claims = story.of(SessionClaimed, TaskClaimed, name=name)
        assert [(one.runner, one.attempt) for one in claims] == [(victim, 1), (other, 2)]
    assert [last_words(story, name) for name in late] == [f"Done, {name}." for name in late]

    answer = await scene.http.post("/sessions/early/messages", json={"text": "once more"})
    assert (answer.status_code, answer.json()["status"]) == (202, "resumed"), answer.text
    story = await scene.until_over()
    assert [one.runner for one in story.of(SessionClaimed, name="early")] == [victim, other]
    assert last_words(story, "early") == "Done again, early."
    check(story, witness)


FROZEN = {f"s-{number}": 8 for number in range(4)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scene", [FROZEN], indirect=True, ids=["frozen"])
async def test_what_a_frozen_runner_has_lost_is_not_taken_off_the_queue_by_it(scene: Scene, witness: Path) -> None:
    frozen, other = RUNNERS
    await scene.ask(code=1, firmware=1, sessions=list(FROZEN))

    async def held() -> set[str] | None:
        story = await scene.story()
        held = story.held_by(frozen)
        return held if all(began(story, name) for name in held if name in FROZEN) else None

    await eventually(held, within_s=PATIENCE_S, what=f"{frozen} to be at work")
    scene.send(frozen, signal.SIGSTOP)
    lost = (await scene.story()).held_by(frozen)

    async def taken_over() -> set[str]:
        return lost & (await scene.story()).held_by(other)

    await eventually(taken_over, within_s=PATIENCE_S, what=f"{other} to take something over")
    scene.send(other, signal.SIGSTOP)
    at_other = await taken_over()
    assert at_other
    scene.send(frozen, signal.SIGCONT)
    journal = scene.journal(frozen)
    for name in at_other:
        await eventually(
            lambda name=name: f"{name}: somebody else has it now" in journal.read_text(),  # type: ignore[misc]
            within_s=PATIENCE_S,
            what=f"{frozen} to hear that {name} is no longer its own",
        )
    await scene.kill(other)
    story = await scene.until_over()
    for name in at_other:
        assert [one.runner for one in story.of(SessionClaimed, TaskClaimed, name=name)] == [frozen, other, frozen]
    check(story, witness)


MANY = {f"s-{number}": 12 for number in range(10)}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scene", [MANY], indirect=True, ids=["many"])
async def test_so_it_is_when_runners_are_killed_again_and_again(
    scene: Scene, witness: Path, chance: random.Random
) -> None:
    await scene.ask(code=6, firmware=6, sessions=list(MANY))
    for _ in range(int(os.environ.get("BENCHWIRE_KILLS", "8"))):
        happened = len((await scene.story()).facts) + chance.randint(5, 40)

        async def more(enough: int = happened) -> bool:
            story = await scene.story()
            return story.over() or len(story.facts) >= enough

        await eventually(more, within_s=PATIENCE_S * 2, what="something to happen")
        victim = chance.choice(RUNNERS)
        await scene.kill(victim)
        await scene.start(victim)
    story = await scene.until_over()
    assert [last_words(story, name) for name in MANY] == [f"Done, {name}." for name in MANY]
    check(story, witness)
