"""Keeping parts alive and ending them, with a real nats-server and small stand-ins for the services."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from benchwire.deploy.parts import GRACE_S, Part, PluggedIn, Site, Stage
from benchwire.deploy.settings import Settings
from benchwire.deploy.site import CannotStart
from benchwire.deploy.supervisor import Change, running
from benchwire.events.testing.eventually import eventually

# Registers as a board does, because that needs no port and no import of ours.
STAND_IN = """
import json, os, pathlib, signal, sys, time
name, run_dir, stubborn = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3] == "stubborn"
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
record = dict(name=name, profile="p", serial_number="1", tty="/nowhere", probe=None, control="/nowhere", pid=os.getpid())
draft = run_dir / (name + ".draft")
draft.write_text(json.dumps(record))
draft.rename(run_dir / (name + ".board.json"))
print("plugged in", flush=True)
time.sleep(600)
"""


def stand_in(
    site: Site, name: str, stage: Stage = Stage.SERVICES, *, code: str = STAND_IN, manner: str = "meek"
) -> Part:
    argv = [sys.executable, "-c", code, name, str(site.run_dir), manner]
    return Part(name=name, argv=argv, env=site.environment, health=PluggedIn(site.run_dir, name), stage=stage)


def parts(site: Site) -> list[Part]:
    return [stand_in(site, "first", Stage.AGENTS), stand_in(site, "second", Stage.SERVICES)]


def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", host="bench", observability_port=0, documents_port=0, nats_port=0)


def children() -> set[psutil.Process]:
    """Of the test run; services that several tests share may be among them."""
    return set(psutil.Process().children(recursive=True))


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_lab_is_there_when_every_part_is_healthy_and_gone_afterwards(tmp_path: Path) -> None:
    changes: list[Change] = []
    async with running(settings(tmp_path), tell=changes.append, parts=parts) as lab:
        assert lab.states == {"nats": "healthy", "first": "healthy", "second": "healthy"}
        pids = lab.pids
        assert len(pids) == 3
        run_dir = lab.site.run_dir
    assert all(is_gone(pid) for pid in pids.values())
    assert not run_dir.exists()
    stopped = [change.part for change in changes if change.state == "stopped"]
    assert stopped == ["first", "second", "nats"]


@pytest.mark.parametrize("name", ["nats", "first", "second"])
async def test_a_part_that_is_killed_is_started_again(tmp_path: Path, name: str) -> None:
    changes: list[Change] = []
    async with running(settings(tmp_path), tell=changes.append, parts=parts) as lab:
        url, victim = lab.site.nats_url, lab.pids[name]
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: lab.states[name] == "healthy" and lab.pids.get(name) != victim)
        assert lab.site.nats_url == url
    assert [change.state for change in changes if change.part == name and change.again] == [
        *("died", "starting", "healthy", "stopped")
    ]


async def test_a_part_that_does_not_hear_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in (Stage.AGENTS, Stage.SERVICES):
        monkeypatch.setitem(GRACE_S, stage, 0.2)

    def stubborn(site: Site) -> list[Part]:
        return [
            stand_in(site, f"stubborn-{stage}", stage, manner="stubborn") for stage in (Stage.AGENTS, Stage.SERVICES)
        ]

    async with running(settings(tmp_path), parts=stubborn) as lab:
        pids = lab.pids
    assert all(is_gone(pid) for pid in pids.values())


async def test_a_part_that_dies_at_its_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    def failing(site: Site) -> list[Part]:
        return [*parts(site), stand_in(site, "third", code="print('no such table'); raise SystemExit(3)")]

    before = children()
    with pytest.raises(CannotStart, match="third ended with exit code 3") as trouble:
        async with running(settings(tmp_path), parts=failing):
            pass
    assert trouble.value.last_words == ["no such table"]
    assert children() <= before


async def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    def missing(site: Site) -> list[Part]:
        part = stand_in(site, "third")
        return [Part(name="third", argv=["no-such-program"], env={}, health=part.health, stage=part.stage)]

    with pytest.raises(CannotStart, match=r"third .*no-such-program"):
        async with running(settings(tmp_path), parts=missing):
            pass


async def test_a_part_that_keeps_refusing_its_configuration_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    marker = tmp_path / "refuse"
    code = f"import os\nif os.path.exists({str(marker)!r}): print('bad setting'); raise SystemExit(78)\n" + STAND_IN

    def refusing(site: Site) -> list[Part]:
        return [*parts(site), stand_in(site, "third", code=code)]

    changes: list[Change] = []
    async with running(settings(tmp_path), tell=changes.append, parts=refusing) as lab:
        marker.touch()
        os.kill(lab.pids["third"], signal.SIGKILL)
        await eventually(lambda: lab.states["third"] == "given_up")
        assert lab.states["first"] == "healthy"
    given_up = next(change for change in changes if change.state == "given_up")
    assert "78" in given_up.detail
    assert "bad setting" in given_up.detail


async def test_a_cancel_at_any_moment_of_the_start_leaves_no_process(tmp_path: Path) -> None:
    async def whole() -> None:
        async with running(settings(tmp_path), parts=parts):
            await asyncio.Event().wait()

    before = children()
    for delay_ms in (0, 5, 20, 40, 80, 120, 200, 400):
        task = asyncio.create_task(whole())
        await asyncio.sleep(delay_ms / 1000)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert children() <= before
        assert not (tmp_path / "data" / "run").exists()


async def test_what_the_body_raises_leaves_as_it_is(tmp_path: Path) -> None:
    before = children()
    with pytest.raises(ZeroDivisionError):
        async with running(settings(tmp_path), parts=parts):
            _ = 1 / 0
    assert children() <= before


async def test_a_second_lab_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with running(settings(tmp_path), parts=parts):
        with pytest.raises(CannotStart, match=f"process {os.getpid()}"):
            async with running(settings(tmp_path), parts=parts):
                pass


async def test_a_lab_with_a_long_path_keeps_its_sockets_elsewhere_and_removes_them(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 90)
    async with running(
        Settings(data=long, host="bench", observability_port=0, documents_port=0, nats_port=0), parts=parts
    ) as lab:
        run_dir = lab.site.run_dir
        assert len(bytes(run_dir)) < 60
        assert run_dir.stat().st_mode & 0o777 == 0o700
    assert not run_dir.exists()
