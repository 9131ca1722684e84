"""The shell and the files of a session, in both kinds of sandbox."""

import asyncio
import contextlib
import os
from pathlib import Path

import psutil
import pytest

from benchwire.agent.sandbox import detect, remove
from benchwire.agent.tools import files, shell
from benchwire.events.testing.eventually import eventually


def runs(word: bytes) -> bool:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word in file.read_bytes():
                return True
    return False


@pytest.mark.parametrize("kind", ["auto", "limits"])
async def test_a_command_sees_its_directory_and_no_secrets(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret-1")
    ran = await shell.run("echo hi > a; cat a; env; exit 3", workdir=tmp_path, sandbox=await detect(kind), timeout_s=10)
    assert ran.exit_code == 3
    assert ran.output.startswith("hi\n")
    assert "secret-1" not in ran.output
    assert (tmp_path / "a").read_text() == "hi\n"


@pytest.mark.parametrize("kind", ["auto", "limits"])
async def test_a_command_whose_time_is_up_is_ended_and_what_it_printed_is_kept(tmp_path: Path, kind: str) -> None:
    ran = await shell.run("echo before; sleep 876543", workdir=tmp_path, sandbox=await detect(kind), timeout_s=0.5)
    assert (ran.exit_code, ran.output) == (None, "before\n")
    assert "its time was up" in str(ran)


@pytest.mark.parametrize("kind", ["auto", "limits"])
async def test_what_a_command_leaves_in_the_background_does_not_hold_it_up_and_ends_with_it(
    tmp_path: Path, kind: str
) -> None:
    sandbox = await detect(kind)
    ran = await shell.run("setsid sleep 765432 & echo done", workdir=tmp_path, sandbox=sandbox, timeout_s=60)
    assert ran.output == "done\n"

    async def gone() -> bool:
        return not await asyncio.to_thread(runs, b"765432")

    await eventually(gone, what="what was killed to be gone")


async def test_what_slips_away_without_bubblewrap_does_not_hold_the_call_up(tmp_path: Path) -> None:
    """It has neither the mark nor a parent that is known, and keeps the output open."""
    command = "env -i setsid sleep 600 & echo $!; sleep 0.2"
    ran = await shell.run(command, workdir=tmp_path, sandbox=await detect("limits"), timeout_s=60)
    with contextlib.suppress(psutil.NoSuchProcess):
        slipped = psutil.Process(int(ran.output))
        if os.geteuid() == 0:  # it is found by its id
            assert slipped.status() == psutil.STATUS_ZOMBIE
        slipped.kill()


async def test_a_command_that_cannot_be_one_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(shell.CommandRefused, match="NUL"):
        await shell.run("echo \0", workdir=tmp_path, sandbox=await detect(), timeout_s=10)


async def test_a_flood_is_cut(tmp_path: Path) -> None:
    ran = await shell.run(
        "head -c 1000000 /dev/zero | tr '\\0' x", workdir=tmp_path, sandbox=await detect(), timeout_s=20
    )
    assert (len(ran.output), ran.cut) == (shell.MAX_OUTPUT_BYTES, True)


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert files.write(tmp_path, "a/b/c.txt", "häh") == 4
    files.write(tmp_path, "a/b/c.txt", "x")
    assert files.read(tmp_path, "a/b/c.txt") == files.read(tmp_path, "/sandbox/a/b/c.txt") == "x"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../out", "a/../../out", "", ".", "link", "folder/out", "pipe", "nothing", "a\0b"]
)
def test_no_path_leads_out_of_the_directory(tmp_path: Path, path: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "out").write_text("secret")
    (inside / "link").symlink_to("../out")
    (inside / "folder").symlink_to("..")
    os.mkfifo(inside / "pipe")
    with pytest.raises(files.FileRefused):
        files.read(inside, path)
    if path not in ("nothing", "pipe"):
        with pytest.raises(files.FileRefused):
            files.write(inside, path, "mine")
    assert (tmp_path / "out").read_text() == "secret"


async def test_a_command_that_no_program_can_be_given_is_refused_or_changed(tmp_path: Path) -> None:
    sandbox = await detect()
    with pytest.raises(shell.CommandRefused, match="at most 122880 bytes: write a longer one to a file"):
        await shell.run(f"echo {'x' * 122_880}", workdir=tmp_path, sandbox=sandbox, timeout_s=10)
    assert (await shell.run("echo \ud800", workdir=tmp_path, sandbox=sandbox, timeout_s=30)).output == "?\n"
    with pytest.raises(files.FileRefused):
        files.write(tmp_path, "a\ud800", "")


def test_whatever_a_command_made_is_listed_in_text_that_can_be_told(tmp_path: Path) -> None:
    """Names that are no text, folders that are closed or lie deeper than can be walked, and what is no file."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("text")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        here, above = os.open("d", os.O_RDONLY, dir_fd=here), here
        os.close(above)
    os.close(here)
    assert files.listed(tmp_path, most=100) == [("\ufffd", 0), ("a/b/c", 4)]
    remove(tmp_path)
