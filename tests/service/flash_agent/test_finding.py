"""Boards that come and go: ptys behind links such as udev makes, network ports, virtual boards as processes, and hands on all of them.

The ptys stand for USB serial ports: they leave out modem lines and USB ids.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from benchwire.boards.virtual import hand
from benchwire.boards.virtual.registry import read_records
from benchwire.events import asks, child, device, flash, nats_server
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent import bench, identifying
from benchwire.flash_agent.errors import FlashError, LeasedToAnother, ResetFailed
from benchwire.flash_agent.finding import hotplug, probe_list
from benchwire.flash_agent.finding.configured import ConfiguredBoards
from benchwire.flash_agent.finding.probe_list import ProbeList
from benchwire.flash_agent.hands import Hands
from benchwire.flash_agent.identifying import Identifying
from benchwire.flash_agent.inventory import Board, Inventory
from benchwire.flash_agent.probes import Device, Hooks, Source
from benchwire.flash_agent.testing import plugged
from benchwire.flash_agent.tools.probe_protocol import Answer

HOST = "lab-1"


@contextlib.asynccontextmanager
async def at_work(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!{sys.executable}\nimport sys, time\nfrom pathlib import Path\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


async def said(log: Log, name: str) -> list[Event]:
    return [one.event async for one in log.read([f"bench.device.{HOST}.{name}.*"])]


async def anybody(device: str, *, lease_id: str | None = None) -> FlashError | None:
    return None


async def nobody(device: str, *, lease_id: str | None = None) -> FlashError | None:
    if lease_id == "lease-1":
        return None
    return LeasedToAnother(device, "somebody", datetime.now(UTC))


@contextlib.asynccontextmanager
async def watched(log: Log, *sources: Source) -> AsyncIterator[Inventory]:
    async with asyncio.TaskGroup() as tasks:
        inventory = Inventory(log, HOST, sources, told={}, identified={}, tasks=tasks)
        await inventory.scan()
        watching = tasks.create_task(inventory.watch())
        try:
            yield inventory
        finally:
            watching.cancel()
            for name in list(inventory._boards):
                inventory._unplug(name)


def unused(_: str) -> bool:
    return False


def configured(path: Path, text: str) -> Source:
    path.write_text(text)
    boards = ConfiguredBoards(path, unused)
    return Source("configured boards", lambda: boards.find_local() + boards.find_networked(), 0.2)


async def test_a_configured_board_comes_and_goes_with_its_link(log: Log, tmp_path: Path) -> None:
    link = tmp_path / "usb-Espressif-if00"
    source = configured(
        tmp_path / "boards.toml", f'[board.rack2]\nport = "{link}"\nprofile = "esp32c3"\nlabels.rack = "2"'
    )
    async with watched(log, source) as inventory:
        assert inventory.boards() == []
        with plugged(link):
            board = cast("Board", await eventually(lambda: inventory.board("rack2")))
            await eventually(lambda: board.console is not None and board.console.is_open)
        await asyncio.wait_for(board.gone.wait(), 30)
        await eventually(lambda: inventory.board("rack2") is None)

        async def told() -> bool:
            return len(await said(log, "rack2")) == 2

        await eventually(told)
    attached, detached = await said(log, "rack2")
    assert isinstance(attached, device.DeviceAttached)
    assert (attached.port, attached.profile, attached.driver, attached.chip) == (
        str(link),
        "esp32c3",
        "esptool",
        "esp32c3",
    )
    assert attached.labels == {"rack": "2"}
    assert isinstance(detached, device.DeviceDetached)


async def test_a_board_at_a_network_port_that_goes_silent_is_gone(log: Log, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        text = f'[board.far]\nport = "socket://127.0.0.1:{server.getsockname()[1]}"\nprofile = "esp32"'
        source = configured(tmp_path / "boards.toml", text)
        async with watched(log, source) as inventory:
            board = cast("Board", inventory.board("far"))
            server.close()
            await asyncio.wait_for(board.gone.wait(), 30)


async def test_a_look_is_made_at_once_when_something_was_plugged_in(log: Log, tmp_path: Path) -> None:
    source = configured(tmp_path / "boards.toml", f'[board.one]\nport = "{tmp_path / "link"}"')
    slow = Source(source.name, source.find, 3600.0)
    async with watched(log, slow) as inventory:
        with plugged(tmp_path / "link"):
            inventory.look_now()
            await eventually(lambda: inventory.board("one"))


async def test_hot_plug_events_are_heard_where_they_can_be_and_missed_by_nobody_elsewhere() -> None:
    looks: list[int] = []
    with hotplug.heard(lambda: looks.append(1)) as hears:
        assert hears in (True, False)


LISTER = """
import json
lives = Path(sys.argv[0] + ".lives")
lives.write_text(lives.read_text() + "x" if lives.exists() else "x")
probes = [{"unique_id": "066DFF51", "description": "ST-Link"}, {"unique_id": "", "description": "a clone"}]
print(json.dumps(probes), flush=True)
if len(lives.read_text()) == 1:
    sys.exit(3)
print(json.dumps([]), flush=True)
time.sleep(600)
"""


async def test_debug_probes_are_listed_by_a_process_that_is_started_again_when_it_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probe_list, "RESTART_S", 0.3)
    changes: list[list[str]] = []
    listed = ProbeList(
        lambda: changes.append([one.name for one in listed.find()]), [script(tmp_path / "lister", LISTER)]
    )
    async with at_work(listed.run()):
        await listed.listed()
        assert [one.probe for one in listed.find()] == ["066DFF51"]
        await eventually(lambda: len(changes) == 3)
    assert changes == [["probe-066dff51"], ["probe-066dff51"], []]
    assert caplog.text.count("tells no serial number") == 1
    assert "exit code 3" in caplog.text


async def test_pyocd_lists_the_probes_of_this_host() -> None:
    """The real lister; there is none here, or only virtual ones."""
    listed = ProbeList(lambda: None)
    async with at_work(listed.run()):
        await asyncio.wait_for(listed._listed.wait(), 60)


def board_of(**fields: Any) -> Board:
    return Board(Device(name="board-1", **fields), None, None)


async def test_a_hook_is_run_without_a_shell_and_its_failure_is_told_in_its_own_words(tmp_path: Path) -> None:
    good = script(tmp_path / "good", f'Path("{tmp_path}/said").write_text(" ".join(sys.argv[1:]))')
    bad = script(tmp_path / "bad", 'print("relay 3 does not answer", file=sys.stderr)\nsys.exit(7)')
    slow = script(tmp_path / "slow", "time.sleep(600)")
    board = board_of(hooks=Hooks(reset=[good, "$HOME", "; ls"], power_on=[bad], download=["/none"]))
    await bench.lay_hand(board, "reset")
    assert (tmp_path / "said").read_text() == "$HOME ; ls"
    with pytest.raises(ResetFailed, match=r"bad \(power_on\) ended with 7: relay 3 does not answer"):
        await bench.lay_hand(board, "power_on")
    with pytest.raises(ResetFailed, match=r"slow \(power_off\) did not end within 1 s"):
        await bench.lay_hand(board_of(hooks=Hooks(power_off=[slow], timeout_s=1.0)), "power_off")
    with pytest.raises(ResetFailed, match=r"/none \(download\) cannot be run"):
        await bench.lay_hand(board, "download")
    daemon = script(tmp_path / "daemon", "import subprocess\nsubprocess.Popen(['sleep', '600'])\nsys.exit(4)")
    with pytest.raises(ResetFailed, match=r"ended with 4: it said nothing"):
        await bench.lay_hand(board_of(hooks=Hooks(reset=[daemon])), "reset")


@pytest.mark.parametrize(
    ("fields", "do", "told"),
    [
        ({"driver": "esptool"}, "power_off", "nothing switches the supply of board-1: configure a hook power_off"),
        ({"driver": "esptool"}, "reset", "board-1 has no port to reset it through"),
        ({"driver": "pyocd", "probe": "1"}, "download", "nothing can bring into its loader board-1"),
        ({}, "reset", "nothing can reset board-1: configure a hook reset"),
        ({"control": "/none"}, "reset", "the board could not be asked to reset"),
    ],
)
async def test_what_no_hand_can_do_is_refused_in_a_sentence(fields: dict[str, Any], do: Any, told: str) -> None:
    with pytest.raises(ResetFailed, match=told):
        await bench.lay_hand(board_of(**fields), do)


class Lines:
    """A monitor that takes down how the modem lines are moved; it leaves out the port."""

    is_open = True

    def __init__(self) -> None:
        self.moved: list[tuple[bool, bool]] = []

    def booting(self, job_id: str | None) -> None:
        pass

    async def pull_lines(self, steps: Any) -> None:
        self.moved += [(dtr, rts) for dtr, rts, _ in steps]


async def test_a_real_board_is_reset_by_its_modem_lines_as_its_kind_needs_it() -> None:
    moved = {}
    for vid, pid in (("10c4", "ea60"), ("303a", "1001")):
        for do in ("reset", "download"):
            lines = Lines()
            board = Board(
                Device(name="b", driver="esptool", port="/dev/ttyUSB0", vid=vid, pid=pid), cast("Any", lines), None
            )
            await bench.lay_hand(board, do)
            moved[vid, do] = lines.moved
    assert moved["10c4", "reset"] == moved["303a", "reset"] == [(False, True), (False, False)]
    assert moved["10c4", "download"] == [(False, True), (True, False), (False, False)]
    assert moved["303a", "download"] == [(False, False), (True, False), (True, True), (False, True), (False, False)]


async def test_a_board_is_asked_once_per_plugging_and_never_while_somebody_has_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chip's answer is this test's own; the real question is asked of virtual boards below."""
    found = [Device(name="b", driver="pyocd", probe="1", vid="0483", pid="374b", instance="1")]
    asked: list[bool] = []

    async def answer(board: Board) -> Answer:
        asked.append(board.turn.locked())
        return Answer(chip="STM32F405/407", profiles=["stm32f405"], flash_bytes=1 << 20)

    monkeypatch.setattr(identifying, "_answer_of", answer)
    monkeypatch.setattr(identifying, "BUSY_AGAIN_S", 0.05)
    source = Source("debug probes", lambda: list(found), 0.05)
    async with watched(log, source) as inventory:
        board = cast("Board", inventory.board("b"))
        who: list[Any] = [nobody]

        async def refusal(device: str, *, lease_id: str | None = None) -> FlashError | None:
            return cast("FlashError | None", await who[0](device, lease_id=lease_id))

        asking = Identifying(log, HOST, inventory, refusal, automatic=True)
        async with at_work(asking.run()):
            async with board.turn:
                who[0] = anybody
                await asyncio.sleep(0.2)
                assert not asked
            await eventually(lambda: board.identified)
            assert (board.device.profile, board.device.driver, board.found.profile) == ("stm32f405", "pyocd", None)
            found[:] = []
            await asyncio.wait_for(board.gone.wait(), 30)
            found[:] = [Device(name="b", driver="pyocd", probe="1", vid="0483", pid="374b", instance="2")]
            again = cast("Board", await eventually(lambda: inventory.board("b")))

            async def told() -> bool:
                return len(await said(log, "b")) == 5

            await eventually(told)
            assert again.identified
    assert asked == [True, True]
    facts = [type(one).__name__ for one in await said(log, "b")]
    assert facts == ["DeviceAttached", "DeviceIdentified", "DeviceDetached", "DeviceAttached", "DeviceIdentified"]


async def test_a_board_that_was_leased_while_others_were_asked_is_left_alone(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    refused: list[str] = []

    async def answer(board: Board) -> Answer:
        asked.append(board.device.name)
        await answered.wait()
        return Answer(chip="STM32F405/407", profiles=["stm32f405"])

    async def refusal(device: str, *, lease_id: str | None = None) -> FlashError | None:
        if device in leased:
            refused.append(device)
            return await nobody(device)
        return None

    monkeypatch.setattr(identifying, "_answer_of", answer)
    monkeypatch.setattr(identifying, "AT_ONCE", 1)
    leased: list[str] = []
    answered = asyncio.Event()
    found = [Device(name=name, driver="pyocd", probe=name, vid="0483", pid="374b", instance=name) for name in "ab"]
    async with watched(log, Source("debug probes", lambda: found, 0.05)) as inventory:
        asking = Identifying(log, HOST, inventory, refusal, automatic=True)
        first = asyncio.create_task(asking._once(cast("Board", inventory.board("a"))))
        await eventually(lambda: asked)
        async with at_work(asking._once(cast("Board", inventory.board("b")))):
            await eventually(lambda: asking._few._waiters)
            leased.append("b")
            answered.set()
            await first
            await eventually(lambda: refused)
    assert asked == ["a"]


async def test_what_is_said_of_a_board_changes_only_when_nobody_works_on_it_and_a_drive_leaves_when_it_is_done(
    log: Log,
) -> None:
    found = [Device(name="b", port=None, instance="1"), Device(name="d", driver="uf2", drive="/media/RPI-RP2")]
    source = Source("drives", lambda: list(found), 60.0)
    async with watched(log, source) as inventory:
        board, drive = cast("Board", inventory.board("b")), cast("Board", inventory.board("d"))
        found[:] = [Device(name="b", port=None, instance="1", labels={"rack": "2"})]
        async with board.turn, drive.turn:
            await inventory.scan()
            assert not board.gone.is_set()
            assert not drive.gone.is_set()
        await inventory.scan()
        assert board.gone.is_set()
        assert drive.gone.is_set()
        again = cast("Board", inventory.board("b"))
        found[:] = [Device(name="b", port=None, instance="2", labels={"rack": "2"})]
        async with again.turn:
            await inventory.scan()
            assert again.gone.is_set()  # another one was plugged in


async def test_what_a_chip_said_is_still_known_after_a_restart(log: Log) -> None:
    one = Device(name="b", driver="esptool", port=None, vid="10c4", pid="ea60", instance="x")
    told = device.DeviceAttached(
        timestamp=datetime.now(UTC), host=HOST, device="b", driver="esptool", vid="10c4", pid="ea60"
    )
    known = device.DeviceIdentified(
        timestamp=datetime.now(UTC), host=HOST, device="b", chip="esp32c3", profile="esp32c3"
    )
    async with asyncio.TaskGroup() as tasks:
        inventory = Inventory(
            log,
            HOST,
            [Source("serial ports", lambda: [one], 1.0)],
            told={"b": told},
            identified={"b": known},
            tasks=tasks,
        )
        await inventory.scan()
    assert cast("Board", inventory.board("b")).device.profile == "esp32c3"
    assert await said(log, "b") == []


async def test_a_lease_and_a_job_keep_other_hands_away(log: Log) -> None:
    source = Source("debug probes", lambda: [Device(name="b", control="/none")], 60.0)
    async with watched(log, source) as inventory:
        board = cast("Board", inventory.board("b"))
        asking = Identifying(log, HOST, inventory, nobody, automatic=False)
        hands = Hands(log, HOST, inventory, nobody, asking)

        async def answer(device: str = "b", lease_id: str | None = None) -> Any:
            body = {"host": HOST, "device": device, "do": "reset", "lease_id": lease_id}
            return await hands.handle(json.dumps(body).encode())

        assert (await answer("c")).code == "device_not_attached"
        assert (await answer()).code == "device_leased"
        assert (await answer(lease_id="lease-1")).code == "reset_failed"  # it may, and has no way to
        async with board.turn:
            assert (await answer(lease_id="lease-1")).code == "device_busy"


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A short path: it holds sockets."""
    with tempfile.TemporaryDirectory(prefix="bw-") as directory:
        yield Path(directory)


@contextlib.asynccontextmanager
async def agent(nats: nats_server.Server, bus: Bus, tmp_path: Path, **variables: str) -> AsyncGenerator[Any, None]:
    env = {**os.environ, "NATS_URL": nats.url, "BENCHWIRE_HOST": HOST, "BENCHWIRE_DATA": str(tmp_path / "data")}
    env |= {f"BENCHWIRE_{name.upper()}": value for name, value in variables.items()}
    with (tmp_path / "agent.log").open("ab") as stderr:
        argv = [sys.executable, "-m", "benchwire.flash_agent"]
        async with child.spawn(argv, env=env, stderr=stderr, grace_s=5.0) as process:
            await eventually(lambda: Presence(bus).is_there("flash-agent", HOST), within_s=60)
            yield process


async def test_virtual_boards_are_asked_and_handled_and_the_file_of_boards_is_read_again_on_a_signal(
    nats: nats_server.Server, bus: Bus, log: Log, tmp_path: Path, run_dir: Path
) -> None:
    """One agent for all of it: it takes a second to start."""
    boards = tmp_path / "boards.toml"
    boards.write_text("")
    argv = [sys.executable, "-m", "benchwire.boards.virtual", "esp32c3", "--name", "c3", "--run-dir", str(run_dir)]
    argv += ["--label", "rack=2", "--die-with-parent"]

    async def ask(verb: str, kind: Any, **fields: Any) -> Any:
        message = kind(host=HOST, device="c3", **fields)
        answer: Any = asks.Identified if verb == "identify" else asks.Handled
        return await bus.ask(f"ask.host.{HOST}.{verb}", message, answer, timeout_s=60)

    async def told(kind: type[Event], name: str = "c3") -> Any:
        return next((one for one in reversed(await said(log, name)) if isinstance(one, kind)), None)

    async with (
        child.spawn(argv, stdout=child.DEVNULL),
        agent(nats, bus, tmp_path, virtual_dir=str(run_dir), boards=str(boards)) as process,
    ):
        attached = await eventually(lambda: told(device.DeviceAttached))
        assert attached.labels == {"rack": "2"}

        answer = await ask("identify", asks.IdentifyDevice)
        assert (answer.chip, answer.profile, answer.problem) == ("esp32c3", "esp32c3", None)
        fact = await told(device.DeviceIdentified)
        assert fact.flash_bytes == 4 << 20
        assert fact.serial_number.count(":") == 5

        control = str(run_dir / "c3.control")
        await asyncio.to_thread(hand.told, control, do="fault", kind="wrong_chip", chip="esp32")
        answer = await ask("identify", asks.IdentifyDevice)
        assert answer.problem == "configured as esp32c3, but the chip says esp32"

        assert await ask("handle", asks.HandleDevice, do="power_off", by="ann") == asks.Handled(device="c3")
        assert (await told(device.DeviceHandled)).by == "ann"
        assert not (await asyncio.to_thread(hand.told, control, do="status"))["powered"]

        boards.write_text(f'[board.c3-of-mine]\nport = "{run_dir / "c3.tty"}"\nlabels.camera = "yes"')
        process.send_signal(signal.SIGHUP)
        mine = await eventually(lambda: told(device.DeviceAttached, "c3-of-mine"))
        assert (mine.profile, mine.virtual, mine.labels) == ("esp32c3", True, {"rack": "2", "camera": "yes"})
        await eventually(lambda: told(device.DeviceDetached))


async def test_a_flash_agent_with_a_broken_file_of_boards_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "boards.toml").write_text('[board.x]\nport = "ttyUSB0"')
    env = {**os.environ, "BENCHWIRE_BOARDS": str(tmp_path / "boards.toml")}
    argv = [sys.executable, "-m", "benchwire.flash_agent"]
    async with child.spawn(argv, env=env, stderr=child.PIPE) as process:
        assert process.stderr is not None
        told = (await process.stderr.read()).decode()
        assert await child.exited(process) == 78
    assert "board 'x': port: 'ttyUSB0' is neither an absolute path" in told
    assert "Traceback" not in told


async def test_a_board_at_a_network_port_is_flashed_with_hooks_and_fails_its_job_by_name_when_it_vanishes(
    nats: nats_server.Server, bus: Bus, log: Log, tmp_path: Path, run_dir: Path
) -> None:
    """The agent knows nothing of virtual boards here: the hooks are the only hand it has."""
    argv = [sys.executable, "-m", "benchwire.boards.virtual", "esp32c3", "--name", "c3", "--run-dir", str(run_dir)]
    tell = script(
        tmp_path / "relay",
        "import socket\n"
        "with socket.socket(socket.AF_UNIX) as line:\n"
        f"    line.connect('{run_dir}/c3.control')\n"
        "    line.sendall(sys.argv[1].encode() + b'\\n')\n"
        "    assert b'true' in line.recv(999)",
    )
    image = await Blobs(bus).put(random.Random(7).randbytes(64 << 10), name="data.bin")

    async def flashed(job_id: str) -> flash.FlashCompleted | flash.FlashFailed:
        await log.append(
            flash.FlashRequested(
                timestamp=datetime.now(UTC), host=HOST, job_id=job_id, device="far", image=image, address=0x10000
            )
        )

        async def over() -> Any:
            found = [one.event async for one in log.read([f"bench.flash.{HOST}.{job_id}.*"])]
            return next((one for one in found if isinstance(one, flash.FlashCompleted | flash.FlashFailed)), None)

        return cast("flash.FlashCompleted | flash.FlashFailed", await eventually(over, within_s=60))

    async with child.spawn([*argv, "--die-with-parent"], stdout=child.DEVNULL):
        (record,) = await eventually(lambda: read_records(run_dir))
        hooks = {"download": {"do": "reset", "mode": "download"}, "reset": {"do": "reset"}}
        lines = [f"hooks.{do} = {json.dumps([tell, json.dumps(command)])}" for do, command in hooks.items()]
        (tmp_path / "boards.toml").write_text(
            "\n".join(["[board.far]", f'port = "{record.socket}"', 'profile = "esp32c3"', *lines])
        )
        async with agent(nats, bus, tmp_path, boards=str(tmp_path / "boards.toml")):
            whole = await flashed("job-1")
            assert isinstance(whole, flash.FlashCompleted), whole

            cut = json.dumps({"do": "fault", "kind": "drop", "after_bytes": 40_000})
            async with child.spawn([tell, cut]) as relay:
                assert await child.exited(relay) == 0
            failed = await flashed("job-2")
            assert isinstance(failed, flash.FlashFailed)
            assert (failed.code, failed.flash_state) == ("device_gone", "partial"), failed
