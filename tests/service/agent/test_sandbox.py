"""Attacks from inside the sandbox, each really made, with small limits: each ends with its reason, and nothing of it is left."""

import asyncio
import contextlib
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from benchwire.agent import sandbox as sandboxes
from benchwire.agent.sandbox import (
    WORKDIR,
    Finished,
    Ids,
    Kind,
    Limits,
    Sandbox,
    SandboxUnavailable,
    folder,
    python_paths,
    remove,
    syscalls,
)
from benchwire.agent.sandbox.reach import Reach
from benchwire.agent.tools import shell
from benchwire.agent.tools.compiler import build
from benchwire.agent.tools.simulator import Outcome, simulate
from benchwire.boards import profile as profiles
from benchwire.boards.profile import Qemu
from benchwire.events import child
from benchwire.events.testing.eventually import eventually

MIB = 1 << 20
LIMITS = Limits(
    cpu_s=20, address_bytes=1 << 30, file_bytes=4 * MIB, processes=24, memory_bytes=512 * MIB, disk_bytes=16 * MIB, wall_s=60.0
)  # fmt: skip
IS_ROOT = os.geteuid() == 0

Run = Callable[..., Awaitable[Finished]]


@pytest.fixture
async def fenced() -> Sandbox:
    try:
        return await sandboxes.detect("bwrap")
    except SandboxUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that everybody may enter, which ``tmp_path`` is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def bash(fenced: Sandbox, tmp_path: Path) -> Run:
    async def run(script: str, **limits: float) -> Finished:
        return await fenced.run(
            ["bash", "-c", script], workdir=tmp_path, limits=replace(LIMITS, **limits), max_bytes=64 * 1024
        )

    return run


@pytest.fixture
def python(fenced: Sandbox, tmp_path: Path) -> Run:
    async def run(script: str, **limits: float) -> Finished:
        return await fenced.run(
            [sys.executable, "-I", "-S", "-c", script], workdir=tmp_path, limits=replace(LIMITS, **limits), max_bytes=64 * 1024,
            readable=python_paths(),
        )  # fmt: skip

    return run


def left_of(workdir: Path) -> list[bytes]:
    """The command lines of what still runs for a work directory."""
    mark, found = f"{WORKDIR}={workdir}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes())
    return found


async def nothing_is_left(workdir: Path) -> None:
    async def gone() -> bool:
        return not await asyncio.to_thread(left_of, workdir)

    await eventually(gone, what="all that it started to be gone")


async def test_a_fork_bomb_is_ended(bash: Run, tmp_path: Path) -> None:
    finished = await bash("bomb() { bomb | bomb & }; bomb; sleep 600")
    assert finished.broken == "it started more than 24 processes"
    await nothing_is_left(tmp_path)


async def test_the_kernel_holds_the_number_of_processes_before_anybody_has_looked(python: Run) -> None:
    script = "import os, time\nn = 0\ntry:\n  while os.fork(): n += 1\n  time.sleep(600)\nexcept BlockingIOError: print('refused after', n)"
    finished = await python(script)
    assert finished.stdout.startswith("refused after ")
    assert int(finished.stdout.split()[-1]) < 30


async def test_threads_count_as_processes(python: Run) -> None:
    script = "import threading, time\nfor _ in range(26): threading.Thread(target=time.sleep, args=(600,)).start()"
    assert (await python(script, address_bytes=8 << 30)).broken == "it started more than 24 processes"


@pytest.mark.parametrize(
    "script",
    [
        "for i in {1..1000}; do head -c 1M /dev/zero > file-$i; done",
        "for i in {1..100000}; do : > empty-$i; done",
        "for i in {1..1000}; do head -c 1M /dev/zero > /tmp/$i || exit; done; sleep 1",
        "mkdir closed; cd closed; chmod 300 .; for i in {1..1000}; do head -c 1M /dev/zero > file-$i; done",
        "for i in {1..60}; do exec {n}> x; rm x; head -c 1M /dev/zero >&$n; done; sleep 600",
    ],
    ids=["work directory", "empty files", "tmp", "a closed folder", "files without a name"],
)
async def test_a_disk_is_not_filled(bash: Run, tmp_path: Path, script: str) -> None:
    finished = await bash(script, disk_bytes=8 * MIB)
    # A full /tmp may be told by the file system before anybody has looked.
    assert finished.broken == "it wrote more than 8 MiB" or "No space left on device" in finished.stderr
    await nothing_is_left(tmp_path)


async def test_a_mapped_file_without_a_name_counts(python: Run) -> None:
    script = (
        "import mmap, os, time\nkept = []\n"
        "for _ in range(8):\n  f = os.open('x', os.O_RDWR | os.O_CREAT); os.ftruncate(f, 2 << 20)\n"
        "  kept.append(mmap.mmap(f, 2 << 20)); os.close(f); os.unlink('x')\n  for n in range(0, 2 << 20, 4096): kept[-1][n] = 1\n"
        "os.closerange(3, 100); time.sleep(600)"
    )
    assert (await python(script, disk_bytes=8 * MIB)).broken == "it wrote more than 8 MiB"


SENDS_FILES_TO_NOBODY = """
import array, os, socket, time
kept = []
for _ in range(20):
    f = os.open('x', os.O_RDWR | os.O_CREAT); os.unlink('x'); os.write(f, bytes(1 << 20))
    kept.append(socket.socketpair())
    kept[-1][0].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [f]))])
    os.close(f)
time.sleep(600)
"""
SENT_TO_NOBODY = "it kept open files on their way between sockets, where nobody can count them, for more than 1 s"


async def test_open_files_that_nobody_has_are_not_kept(python: Run) -> None:
    """Sent over a socket and not taken, they belong to no process, and fill the disk all the same."""
    assert (await python(SENDS_FILES_TO_NOBODY, disk_bytes=8 * MIB)).broken == SENT_TO_NOBODY


async def test_files_that_are_taken_may_be_sent(python: Run) -> None:
    script = "import os, socket, time\na, b = socket.socketpair()\nwith open('x', 'w') as f: socket.send_fds(a, [b'x'], [f.fileno()])\n"
    assert (await python(f"{script}socket.recv_fds(b, 1, 1); time.sleep(1.5); print('done')")).stdout == "done\n"


async def test_the_number_of_sockets_is_held(python: Run) -> None:
    script = "import os, socket, time\nfor _ in range(3): os.fork()\nkept = [socket.socketpair() for _ in range(100)]; time.sleep(600)"
    assert (await python(script)).broken == "it held more than 1024 sockets"


async def test_who_is_quick_is_found_out_afterwards(bash: Run) -> None:
    finished = await bash("head -c 1500K /dev/zero | tee a > b", disk_bytes=2 * MIB)
    assert finished.broken == "it wrote more than 2 MiB"


async def test_what_a_directory_held_before_may_be_made_less_but_not_more(bash: Run, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"old-{number}").write_bytes(bytes(MIB))
    assert (await bash("sleep 0.5; rm old-1; sleep 0.5; ls | wc -l", disk_bytes=8 * MIB)).stdout == "11\n"
    more = await bash("for i in 1 2 3; do head -c 1M /dev/zero > new-$i; done; sleep 600", disk_bytes=8 * MIB)
    assert more.broken == "it wrote more than 8 MiB"


async def test_folders_in_folders_end_and_do_not_stay(python: Run, bash: Run, tmp_path: Path) -> None:
    script = "import os, time\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')\ntime.sleep(600)"
    assert (await python(script)).broken == "it made folders in folders, more than 100 deep, which do not stay"
    assert (await bash("touch other; ls")).stdout == "other\n"
    await python(script)
    await asyncio.to_thread(remove, tmp_path)
    assert not tmp_path.exists()  # noqa: ASYNC240 - a directory on the loop


async def test_an_endless_loop_is_ended(bash: Run) -> None:
    assert (await bash("while :; do :; done", cpu_s=1)).broken == "it used more than 1 s of processor time"


async def test_the_processor_time_of_all_counts_also_of_those_that_ended(bash: Run) -> None:
    script = "while :; do timeout 0.3 bash -c 'while :; do :; done'; done"
    assert (await bash(script, cpu_s=1)).broken == "it used more than 1 s of processor time"


async def test_what_ignores_its_end_is_ended_when_its_time_is_up(bash: Run, tmp_path: Path) -> None:
    finished = await bash("trap '' TERM HUP INT; setsid nohup sleep 600 & while :; do sleep 1; done", wall_s=0.5)
    assert finished.broken == "it ran longer than 0.5 s"
    await nothing_is_left(tmp_path)


async def test_a_daemon_ends_with_the_command_that_started_it(python: Run, tmp_path: Path) -> None:
    script = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    os.closerange(0, 100); time.sleep(600)\n  os._exit(0)\nprint('on')"
    )
    finished = await python(script)
    assert (finished.stdout, finished.broken) == ("on\n", None)
    await nothing_is_left(tmp_path)


async def test_the_memory_of_all_counts(python: Run, tmp_path: Path) -> None:
    script = "import os, time\nos.fork(); os.fork(); x = bytearray(60 << 20)\nfor n in range(0, len(x), 4096): x[n] = 1\ntime.sleep(600)"
    finished = await python(script, memory_bytes=128 * MIB)
    assert finished.broken == "it used more than 128 MiB of memory"
    await nothing_is_left(tmp_path)


async def test_shared_memory_counts_once(python: Run) -> None:
    script = (
        "import mmap, os, time\nx = mmap.mmap(-1, 60 << 20)\nfor n in range(0, len(x), 4096): x[n] = 1\n"
        "if os.fork() and os.fork() and os.fork(): pass\nsum(x[::4096]); time.sleep(0.5); print('done')"
    )
    assert (await python(script, memory_bytes=128 * MIB)).broken is None


async def test_one_process_cannot_have_more_addresses_than_it_may(python: Run) -> None:
    finished = await python("bytearray(1 << 31)")
    assert "MemoryError" in finished.stderr


async def test_a_flood_of_output_is_ended(bash: Run) -> None:
    finished = await bash("yes", output_bytes=MIB)
    assert (finished.broken, len(finished.stdout)) == ("it printed more than 1 MiB", 64 * 1024)


async def test_there_is_no_network(python: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = (
            "import socket\nfor family, address in ((socket.AF_INET, ('127.0.0.1', PORT)), (socket.AF_INET, ('192.0.2.1', 80)), (40, (2, 80))):\n"
            "  try: socket.socket(family, socket.SOCK_STREAM).connect(address); print('reached', address)\n"
            "  except OSError as error: print(type(error).__name__)\nprint(*(name for _, name in socket.if_nameindex()))"
        )
        finished = await python(script.replace("PORT", str(port)))
    assert finished.stdout.splitlines() == ["ConnectionRefusedError", "OSError", "OSError", "lo"]


async def test_nothing_of_the_host_is_read(bash: Run, tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret"
    secret.write_text("the secret")
    pid = os.getpid()
    finished = await bash(
        f"cat /etc/passwd /etc/shadow /etc/hostname {secret} /proc/{pid}/environ ../secret /proc/1/root/etc/passwd /dev/mem; "
        f"ln -s {secret} link; cat link; ls /home /root /var; kill -0 {pid}; true"
    )
    assert finished.stdout == ""
    assert finished.stderr.count("No such file or directory") >= 9
    assert "No such process" in finished.stderr


async def test_nothing_but_its_own_is_written(bash: Run, tmp_path: Path) -> None:
    script = (
        "for one in / /usr /usr/bin /dev /proc /proc/sys/kernel /etc ..; do touch $one/mine 2>/dev/null && echo $one; done; "
        "touch mine /tmp/mine /dev/shm/mine && ls"
    )
    assert (await bash(script)).stdout == "mine\n"
    assert os.listdir(tmp_path) == ["mine"]  # noqa: PTH208 - a directory on the loop


async def test_nobody_is_root_inside_or_gets_to_be(bash: Run) -> None:
    script = (
        "id -u; id -G; grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status; stat -c %u /proc/1; "
        "unshare -U true; unshare -r true; unshare -n true; echo $?"
    )
    finished = await bash(script)
    uid, groups, *capabilities, first, unshared = finished.stdout.split("\n")[:-1]
    assert "0" not in {uid, first, *groups.split()}
    assert capabilities == ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"]
    assert unshared == "1"


async def test_no_system_call_gives_memory_that_belongs_to_nobody(python: Run) -> None:
    script = (
        "import ctypes, os\ntry: os.memfd_create('x'); print('made')\nexcept OSError as error: print(error.strerror)\n"
        "libc = ctypes.CDLL(None)\nprint(libc.shmget(0, 4096, 0o600), libc.semget(0, 32000, 0o600), libc.msgget(0, 0o600))"
    )
    with syscalls.opened() as made:
        if made is None:
            pytest.skip("libseccomp is not installed")
    assert (await python(script)).stdout == "Function not implemented\n-1 -1 -1\n"


async def test_an_output_file_that_is_too_large_ends_its_writer(bash: Run, tmp_path: Path) -> None:
    finished = await bash("head -c 16M /dev/zero > big; echo $?")
    assert finished.stdout == "153\n"
    assert (tmp_path / "big").stat().st_size == 4 * MIB


async def test_the_tools_that_measure_code_run_inside(fenced: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "adder.py").write_text("def add(a: int, b: int) -> int:\n    return a + b\n")
    (tmp_path / "test_adder.py").write_text(
        "from adder import add\n\n\ndef test_adds() -> None:\n    assert add(1, 2) == 3\n"
    )
    tools = {
        "pytest": ["coverage", "run", "--include=adder.py", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        "coverage": ["coverage", "json", "-q", "-o", "coverage.json"],
        "ruff": ["ruff", "check", "--no-cache", "adder.py"],
        "mypy": ["mypy", "--strict", "--cache-dir=/tmp/mypy", "adder.py"],
    }
    limits = replace(LIMITS, file_bytes=64 * MIB, disk_bytes=256 * MIB)
    for name, argv in tools.items():
        finished = await fenced.run(
            [sys.executable, "-B", "-m", *argv], workdir=tmp_path, limits=limits, max_bytes=64 * 1024, readable=python_paths(),
            environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )  # fmt: skip
        assert finished.returncode == 0, f"{name}: {finished}"
    assert '"percent_covered": 100' in (tmp_path / "coverage.json").read_text()


async def test_the_environment_that_is_asked_for_is_added(fenced: Sandbox, tmp_path: Path) -> None:
    finished = await fenced.run(["env"], workdir=tmp_path, limits=LIMITS, max_bytes=4096, environment={"MORE": "this"})
    assert "MORE=this" in finished.stdout.splitlines()


@pytest.mark.skipif(not IS_ROOT, reason="only a runner that is root gives ids")
async def test_two_directories_have_two_ids_and_one_has_one(fenced: Sandbox, tmp_path: Path) -> None:
    async def who(name: str) -> str:
        workdir = tmp_path / name
        workdir.mkdir(exist_ok=True)
        ran = await fenced.run(["bash", "-c", "sleep 0.3; id -u"], workdir=workdir, limits=LIMITS, max_bytes=4096)
        return ran.stdout.strip()

    one, again, other = await asyncio.gather(who("a"), who("a"), who("b"))
    assert one == again != other
    assert await who("a") == one
    left = (tmp_path / "a").stat()
    assert (left.st_uid, str(left.st_gid), left.st_mode & 0o777) == (
        0,
        one,
        0o700,
    )  # closed to whoever has that id next


@pytest.mark.skipif(not IS_ROOT, reason="only a runner that is root gives ids")
async def test_whoever_has_an_id_next_finds_nothing_of_the_one_before(open_folder: Path) -> None:
    limited = replace(await sandboxes.detect("limits"), ids=Ids.between("61151-61151"))
    first, second = open_folder / "first", open_folder / "second"
    for one in (first, second):
        one.mkdir()
    await limited.run(["bash", "-c", "echo mine > secret"], workdir=first, limits=LIMITS, max_bytes=4096)
    # As a runner that was killed leaves it: a process of the id, without the mark.
    drop = ["setpriv", "--reuid=61151", "--regid=61151", "--clear-groups", "--", "sleep", "600"]
    async with child.spawn(drop, env={"PATH": os.environ["PATH"]}, asks_itself=True) as left:

        async def dropped() -> bool:
            return psutil.Process(left.pid).uids().real == 61151

        await eventually(dropped, what="the process to have its id")
        script = f"id -u; cat {first}/secret; kill -0 {left.pid} && echo it lives"
        ran = await limited.run(["bash", "-c", script], workdir=second, limits=LIMITS, max_bytes=4096)
    assert ran.stdout == "61151\n"
    assert "Permission denied" in ran.stderr
    assert (first / "secret").read_text() == "mine\n"


@pytest.mark.skipif(not IS_ROOT, reason="only a runner that is root gives ids")
async def test_those_who_come_and_go_in_one_directory_have_it_all_the_time(tmp_path: Path) -> None:
    ids = Ids.between("61153-61160")

    async def use(pause_s: float) -> None:
        for _ in range(8):
            async with ids.leased(tmp_path, ends=True) as uid:
                await asyncio.sleep(0.03)  # somebody else lets go meanwhile, or comes
                assert (await asyncio.to_thread(tmp_path.stat)).st_uid == uid
            await asyncio.sleep(pause_s)

    await asyncio.gather(use(0.0013), use(0.0021))


@pytest.mark.skipif(not IS_ROOT, reason="only a runner that is root hands directories over")
def test_a_link_and_a_file_with_a_name_outside_are_not_handed_over(tmp_path: Path) -> None:
    outside, workdir = tmp_path / "outside", tmp_path / "work"
    outside.write_text("not yours")
    (workdir / "folder").mkdir(parents=True)
    (workdir / "folder" / "file").touch()
    (workdir / "link").symlink_to(outside)
    (workdir / "hard").hardlink_to(outside)
    folder.hand_over(workdir, 61152)
    assert outside.stat().st_uid == 0
    assert [(workdir / name).lstat().st_uid for name in (".", "folder", "folder/file", "link")] == [61152] * 4


def test_a_link_in_the_place_of_a_directory_is_removed_and_not_followed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    (tmp_path / "link").symlink_to(closed)
    remove(tmp_path / "link")
    assert not (tmp_path / "link").is_symlink()
    assert closed.stat().st_mode & 0o777 == 0o500


@pytest.mark.skipif(not IS_ROOT, reason="only a runner that is root gives ids")
async def test_an_id_that_another_runner_uses_is_waited_for(fenced: Sandbox, tmp_path: Path) -> None:
    mine = replace(fenced, ids=Ids.between("61150-61150"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as taken:
        taken.bind("\0benchwire-sandbox-id-61150")
        running = asyncio.create_task(mine.run(["id", "-u"], workdir=tmp_path, limits=LIMITS, max_bytes=4096))
        done, _ = await asyncio.wait([running], timeout=0.3)
        assert not done
    assert (await running).stdout == "61150\n"


@pytest.mark.parametrize("written", ["61000", "0-5", "9-5", "a-b", ""])
def test_a_range_of_ids_is_two_numbers(written: str) -> None:
    with pytest.raises(ValueError, match="BENCHWIRE_SANDBOX_IDS"):
        Ids.between(written)


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user cannot end what has left its group and dropped its mark")
async def test_with_limits_alone_nobody_is_root_and_what_slips_away_is_ended(tmp_path: Path) -> None:
    limited = await sandboxes.detect("limits")
    script = "id -u; grep NoNewPrivs /proc/self/status; env -i setsid sleep 600 & echo $!; sleep 0.2"
    finished = await limited.run(["bash", "-c", script], workdir=tmp_path, limits=LIMITS, max_bytes=4096)
    uid, no_new, pid = finished.stdout.split("\n")[:-1]
    assert uid != "0"
    assert no_new == "NoNewPrivs:\t1"
    with contextlib.suppress(psutil.NoSuchProcess):  # nobody reaps it on some hosts
        assert psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


async def test_with_limits_alone_the_watch_looks_as_well(tmp_path: Path) -> None:
    limited = await sandboxes.detect("limits")
    for script, broken in {
        "for i in {1..1000}; do head -c 1M /dev/zero > file-$i; done": "it wrote more than 16 MiB",
        "for i in {1..26}; do sleep 600 & done; wait": "it started more than 24 processes",
    }.items():
        finished = await limited.run(["bash", "-c", script], workdir=tmp_path, limits=LIMITS, max_bytes=4096)
        assert finished.broken == broken


async def test_where_bubblewrap_does_not_work_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    found = await sandboxes.detect("auto")
    with pytest.raises(SandboxUnavailable, match="BENCHWIRE_SANDBOX=bwrap, but bubblewrap is not installed"):
        await sandboxes.detect("bwrap")
    assert found.kind is Kind.NOTHING
    sentence = "bubblewrap is not installed .package bubblewrap.*BENCHWIRE_SANDBOX=limits"
    with pytest.raises(SandboxUnavailable, match=sentence):
        await found.run(["true"], workdir=tmp_path, limits=LIMITS, max_bytes=1)
    with pytest.raises(shell.CommandRefused, match=sentence):
        await shell.run("true", workdir=tmp_path, sandbox=found, timeout_s=1)
    monkeypatch.undo()
    profile = profiles.load("stm32f405")
    if not profiles.missing(profile):
        made = await build(profile, {"main.c": "int main(void) { return 0; }"}, tmp_path, found, timeout_s=10)
        assert not made.ok
        assert "BENCHWIRE_SANDBOX=limits" in made.diagnostics


RUNNER = """
import asyncio, sys
from pathlib import Path
from benchwire.agent.sandbox import Limits, detect, python_paths

LIMITS = Limits(cpu_s=20, address_bytes=1 << 30, file_bytes=4 << 20, processes=24, disk_bytes=8 << 20)

async def main():
    sandbox = await detect("bwrap")
    for script in sys.argv[2:]:
        finished = await sandbox.run(
            ["bash", "-c", script], workdir=Path(sys.argv[1]), limits=LIMITS, max_bytes=4096, readable=python_paths()
        )
        print(finished.broken or finished.stdout.strip(), flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(not IS_ROOT, reason="the other tests of this file are that, when they are not run by root")
async def test_a_runner_that_is_no_root_has_the_same_sandbox(fenced: Sandbox, tmp_path: Path) -> None:
    """With many processes of its own beside."""
    workdir = tmp_path / "work"
    workdir.mkdir()
    os.chown(workdir, 61170, 61170)
    crowd = 'for i in {1..40}; do sleep 600 & done; exec "$@"'
    attacks = [
        "id -u", "bomb() { bomb | bomb & }; bomb; sleep 600", "for i in {1..1000}; do head -c 1M /dev/zero > f$i; done",
        "rm f*; unshare -U true; echo $?", f"{sys.executable} -ISc {shlex.quote(SENDS_FILES_TO_NOBODY)}",
        "mkdir c; cd c; chmod 300 .; for i in {1..1000}; do head -c 1M /dev/zero > f$i; done",
    ]  # fmt: skip
    async with Reach().to([*python_paths(), workdir]) as there:
        argv = [
            *there, "setpriv", "--reuid=61170", "--regid=61170", "--clear-groups", "--inh-caps=-all", "--", "bash", "-c", crowd, "bash",
            sys.executable, "-c", RUNNER, str(workdir), *attacks,
        ]  # fmt: skip
        async with child.spawn(argv, cwd="/", stdout=child.PIPE) as process:
            assert process.stdout is not None
            said = [(await process.stdout.readline()).decode().strip() for _ in attacks]
    assert said == [
        "61170", "it started more than 24 processes", "it wrote more than 8 MiB", "1", SENT_TO_NOBODY, "it wrote more than 8 MiB",
    ]  # fmt: skip


async def test_a_runner_that_is_killed_takes_along_what_it_ran(fenced: Sandbox, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", RUNNER, str(tmp_path), "echo begun", "setsid sleep 600 & sleep 600"]
    async with child.spawn(argv, stdout=child.PIPE) as process:
        assert process.stdout is not None
        await process.stdout.readline()

        async def running() -> bool:
            return (await asyncio.to_thread(left_of, tmp_path)).count(b"sleep\x00600\x00") == 2

        await eventually(running, what="the command to run")
        process.kill()
        await nothing_is_left(tmp_path)


@pytest.mark.parametrize("name", [one for one in profiles.names() if isinstance(profiles.load(one).simulator, Qemu)])
def test_no_simulator_has_semihosting(name: str) -> None:
    simulator = profiles.load(name).simulator
    assert isinstance(simulator, Qemu)
    argv = simulator.argv("image.bin")
    assert not any("semihosting" in one for one in argv)
    assert argv[argv.index("-sandbox") + 1] == "on,spawn=deny,obsolete=deny,resourcecontrol=deny"


SEMIHOSTED = r"""
#include "board.h"
static long call(long number, const void *block) {
    register long r0 __asm__("r0") = number;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile ("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
int main(void) {
    static const char name[] = "made-by-firmware", command[] = "touch ran-by-firmware";
    board_init(); uart_puts("BEGUN\r\n");
    const long opened[] = {(long)name, 4, sizeof name - 1}, ran[] = {(long)command, sizeof command - 1};
    call(1, opened); call(0x12, ran);
    uart_puts("SERVED\r\n");
    for (;;) { delay_ms(10); }
}
"""


async def test_firmware_that_asks_its_simulator_for_files_and_commands_gets_none(
    fenced: Sandbox, tmp_path: Path
) -> None:
    profile = profiles.load("stm32f405")
    if lacking := profiles.missing(profile):
        pytest.skip("; ".join(map(str, lacking)))
    made = await build(profile, {"main.c": SEMIHOSTED}, tmp_path, fenced, timeout_s=60)
    assert made.ok, made.diagnostics
    before = set(os.listdir(tmp_path))  # noqa: PTH208 - as above
    ran = await simulate(profile, made, tmp_path, fenced, timeout_s=2, max_bytes=4096, until=lambda _: False)
    assert ran.outcome in (Outcome.CRASHED, Outcome.TIMEOUT)  # the board's own handler may tell of the fault
    assert "BEGUN" in ran.output
    assert "SERVED" not in ran.output
    assert set(os.listdir(tmp_path)) == before  # noqa: PTH208 - as above


@pytest.mark.skipif(not IS_ROOT, reason="only a runner that is root hands directories over")
async def test_a_directory_that_cannot_be_handed_over_is_told_with_the_setting() -> None:
    with pytest.raises(OSError, match=r"/proc/self/task cannot be given to the id \d+ \(BENCHWIRE_SANDBOX_IDS\)"):
        async with Ids().leased(Path("/proc/self/task")):
            pass
