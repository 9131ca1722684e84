"""Boards that are added to a lab that runs: real board processes under the real supervisor, without the services."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from benchwire.boards.virtual.board import BoardError
from benchwire.deploy import lab_file
from benchwire.deploy.board import kept
from benchwire.deploy.board.bench import Bench, NoLabHere, NoSuchBoard, NotPluggedIn
from benchwire.deploy.board.kept import Kept, NameTaken
from benchwire.deploy.board.profiles import NotVirtual
from benchwire.deploy.lab import Lab
from benchwire.deploy.settings import Settings
from benchwire.deploy.supervisor import Change, running
from benchwire.events import child
from benchwire.events.testing.eventually import eventually

Result = TypeVar("Result")


def settings(data: Path) -> Settings:
    return Settings(data=data, host="bench", observability_port=0, documents_port=0, nats_port=0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest_asyncio.fixture
async def lab(data: Path) -> AsyncIterator[Lab]:
    async with running(settings(data), parts=lambda _: []) as lab:
        yield lab


async def on_bench(data: Path, do: Callable[[Bench], Result]) -> Result:
    """What a command does, which blocks."""
    return await asyncio.to_thread(lambda: do(Bench.here(data)))


async def added(data: Path, name: str | None = None, profile: str = "rp2040") -> str:
    listed = await on_bench(data, lambda bench: bench.add(profile, name, labels={"rack": "2"}, current_uf2=False))
    return listed.name


async def test_a_board_is_there_when_it_was_added_and_is_named_after_its_profile(lab: Lab, data: Path) -> None:
    assert [await added(data), await added(data)] == ["rp2040-1", "rp2040-2"]
    assert lab.states["board-rp2040-2"] == "healthy"
    first, second = await on_bench(data, Bench.boards)
    assert (first.name, first.state, first.added, first.labels) == ("rp2040-1", "bootsel", True, {"rack": "2"})
    assert second.drive == str(lab.site.run_dir / "rp2040-2.drive" / "RPI-RP2")


async def test_a_board_that_dies_comes_back_and_one_that_is_removed_does_not(data: Path) -> None:
    changes: list[Change] = []
    async with running(settings(data), parts=lambda _: [], tell=changes.append) as lab:
        name = await added(data)
        victim = lab.pids[f"board-{name}"]
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: lab.states[f"board-{name}"] == "healthy" and lab.pids[f"board-{name}"] != victim)
        before = len(changes)
        await on_bench(data, lambda bench: bench.remove(name))
        assert await on_bench(data, Bench.boards) == []
        await eventually(lambda: f"board-{name}" not in lab.states)
        assert [change.state for change in changes[before:]] == ["stopped"]
        assert list((data / kept.FOLDER).iterdir()) == []


async def test_a_board_that_was_added_is_there_again_at_the_next_start_with_what_its_flash_held(data: Path) -> None:
    async with running(settings(data), parts=lambda _: []):
        name = await added(data, "pico")
    flash = kept.flash_file(data, name)
    flash.write_bytes(b"\x01" + flash.read_bytes()[1:])
    with pytest.raises(NoLabHere, match="no lab runs on"):
        await on_bench(data, Bench.boards)
    async with running(settings(data), parts=lambda _: []) as lab:
        assert lab.states["board-pico"] == "healthy"
        (board,) = await on_bench(data, Bench.boards)
        assert board.added
    assert flash.read_bytes()[:1] == b"\x01"


async def test_a_board_that_cannot_start_is_told_and_keeps_the_lab_from_nothing(data: Path) -> None:
    kept.keep(data, Kept(name="broken", profile="rp2040"))
    kept.flash_file(data, "broken").write_bytes(b"too small")
    changes: list[Change] = []
    async with running(settings(data), parts=lambda _: [], tell=changes.append):
        (board,) = await on_bench(data, Bench.boards)
        assert board.state.startswith("board-broken ended with exit code 1 at its start")
        assert any(change.optional and change.state == "given_up" for change in changes)
        with pytest.raises(NoSuchBoard, match=r"the flash file .* has 9 bytes"):
            await on_bench(data, lambda bench: bench.tell("broken", do="reset"))
        await on_bench(data, lambda bench: bench.remove("broken"))
        assert await on_bench(data, Bench.boards) == []


async def test_what_cannot_be_added_is_not_kept(lab: Lab, data: Path) -> None:
    await added(data, "pico")
    with pytest.raises(NameTaken, match="pico is here already"):
        await added(data, "pico")
    with pytest.raises(LookupError, match="no board profile is called 'toaster'"):
        await added(data, profile="toaster")
    with pytest.raises(ValueError, match=r"'a\.b' does not fit"):
        await added(data, "a.b")
    with pytest.raises(BoardError, match="use a shorter run directory or name"):
        await on_bench(
            data, lambda bench: Bench(data, data / ("x" * 99)).add("rp2040", "a", labels={}, current_uf2=False)
        )
    kept.flash_file(data, "bad").write_bytes(b"no flash")
    with pytest.raises(NotPluggedIn, match="board-bad ended with exit code 1"):
        await added(data, "bad")
    assert [board.name for board in kept.read_all(data)] == ["pico"]
    assert issubclass(NotVirtual, LookupError)
    await eventually(lambda: "board-bad" not in lab.states)


async def test_a_hand_on_a_board_and_the_boards_own_words(lab: Lab, data: Path) -> None:
    name = await added(data)
    assert lab.states[f"board-{name}"] == "healthy"
    await on_bench(data, lambda bench: bench.tell(name, do="power", on=False))
    assert [board.state for board in await on_bench(data, Bench.boards)] == ["off"]
    with pytest.raises(BoardError, match="the board has no power"):
        await on_bench(data, lambda bench: bench.tell(name, do="reset", mode="run"))
    with pytest.raises(BoardError, match="unknown fault 'meteor'; this board knows bad_sector"):
        await on_bench(data, lambda bench: bench.tell(name, do="fault", kind="meteor"))
    with pytest.raises(NoSuchBoard, match=f"no virtual board called other is plugged in here; there are {name}"):
        await on_bench(data, lambda bench: bench.tell("other", do="reset"))


async def test_the_commands_print_what_a_person_or_a_program_needs(lab: Lab, data: Path) -> None:
    async def command(*words: str) -> tuple[int | None, str, str]:
        argv = [sys.executable, "-m", "benchwire.deploy", "board", *words, "--data", str(data)]
        process = await asyncio.create_subprocess_exec(
            *child.dying_with_owner(argv), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, error = await process.communicate()
        return process.returncode, out.decode(), error.decode()

    where = lab_file.read(data)
    assert where is not None
    assert where.virtual_dir == str(lab.site.run_dir)
    code, out, _ = await command("add", "--virtual", "rp2040", "--label", "rack=2", "--json")
    board = json.loads(out)
    assert (code, board["name"], board["labels"]) == (0, "rp2040-1", {"rack": "2"})
    told = await command("fault", "rp2040-1", "slow", "bytes_per_s=0x400")
    assert told == (0, "", "")
    code, out, _ = await command("list", "--json")
    assert json.loads(out)["status"]["bytes_per_s"] == 1024
    assert await command("fault", "rp2040-1", "slow", "fast") == (
        *(2, "", "benchwire board fault: 'fast' is no argument of a fault; write KEY=VALUE\n"),
    )
    assert await command("remove", "rp2040-1") == (0, "rp2040-1 is gone, with what its flash held\n", "")
