"""Where code that a model wrote is compiled and run: without network, without the host's files, within limits.

With bubblewrap (``bwrap``) a command sees ``/usr`` read-only, an empty ``/tmp``, and one writable directory, its work directory, at
``/sandbox``; nothing else of the host, no network, no other process. It dies with its owner. Without bubblewrap, or where the kernel
refuses it, only the limits of ``prlimit`` hold (CPU time, memory, file size, no core dumps), and ``Sandbox.kind`` says so: then the
host's files, and the environments of its processes in ``/proc``, are as readable as they are for the service's own user. In both, the
command's own environment holds no secret.

A compiler outside ``/usr`` is not seen from inside.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path

import msgspec
import psutil

import benchwire.boards
from benchwire.events import child

INSIDE = (
    "/sandbox"  # where bubblewrap shows the work directory; the same on every host, so that debug information is, too
)
WORKDIR = "BENCHWIRE_WORKDIR"  # in the environment of whatever runs in here: by it, what a killed owner left is found
PROBE_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 1.0


class Kind(StrEnum):
    """How much the sandbox holds: ``bwrap`` is isolation and limits, ``limits`` is limits alone."""

    BWRAP = "bwrap"
    LIMITS = "limits"


class SandboxUnavailable(RuntimeError):
    """Bubblewrap was asked for by name and does not work on this host."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one command may use. Address space, not resident memory: a process that reserves much needs much."""

    cpu_s: int
    address_bytes: int
    file_bytes: int


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended, and its two outputs, each cut at the caller's cap."""

    returncode: int
    stdout: str
    stderr: str


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """A way to run commands. ``reason`` says why it is not bubblewrap, when it isn't."""

    kind: Kind
    reason: str = ""

    def command(
        self, argv: Sequence[str], *, workdir: Path, limits: Limits, readable: Sequence[Path] = ()
    ) -> list[str]:
        """The command line that runs ``argv`` in here, with ``readable`` paths visible beside ``/usr``."""
        fence = _bwrap(workdir, readable) if self.kind is Kind.BWRAP else []
        return [
            "prlimit", f"--cpu={limits.cpu_s}", f"--as={limits.address_bytes}", f"--fsize={limits.file_bytes}", "--core=0", "--",
            *fence, *argv,
        ]  # fmt: skip

    def environment(self, workdir: Path) -> Mapping[str, str]:
        """All that a command sees of the environment: no keys, no tokens. Messages come untranslated and in ASCII."""
        temporary = "/tmp" if self.kind is Kind.BWRAP else str(workdir)  # noqa: S108 - the sandbox's own, empty and gone with it
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": path, "LC_ALL": "C", "HOME": temporary, "TMPDIR": temporary, WORKDIR: str(workdir.absolute())}

    @contextlib.asynccontextmanager
    async def spawn(
        self, argv: Sequence[str], *, workdir: Path, limits: Limits, readable: Sequence[Path] = ()
    ) -> AsyncGenerator[Process, None]:
        """Starts a command with its two outputs as pipes; leaving the context ends it and all it started."""
        async with child.spawn(
            self.command(argv, workdir=workdir, limits=limits, readable=readable),
            cwd=workdir,
            env=self.environment(workdir),
            stdout=child.PIPE,
            stderr=child.PIPE,
        ) as process:
            try:
                yield process
            finally:
                await self.stop(process)

    async def stop(self, process: Process) -> None:
        """Ends a command of this sandbox within milliseconds. Idempotent.

        Bubblewrap is ended from within: it then reaps what it ran. Killed itself, it would leave that to the host's init, and in a
        container there may be none that reaps.
        """
        if process.returncode is None:
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                inside = await asyncio.to_thread(_children, process.pid) if self.kind is Kind.BWRAP else []
                for one in inside:
                    one.kill()
                if not inside:
                    process.kill()
            with contextlib.suppress(TimeoutError):  # whoever started it ends what is left
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await child.exited(process)

    async def run(
        self,
        argv: Sequence[str],
        *,
        workdir: Path,
        limits: Limits,
        max_bytes: int,
        readable: Sequence[Path] = (),
    ) -> Finished:
        """Runs a command to its end; a cancel ends it. Each output is kept up to ``max_bytes``, and read to its end beyond."""
        async with self.spawn(argv, workdir=workdir, limits=limits, readable=readable) as process:
            stdout, stderr = await asyncio.gather(keep(process.stdout, max_bytes), keep(process.stderr, max_bytes))
            returncode = await process.wait()
        return Finished(returncode=returncode, stdout=text(stdout), stderr=text(stderr))


async def detect(choice: str = "auto") -> Sandbox:
    """The sandbox for this host, found out by really running something in it once.

    ``choice`` is ``auto``, ``bwrap`` or ``limits`` (``BENCHWIRE_SANDBOX``). Raises ``SandboxUnavailable`` when ``bwrap`` is asked for
    and doesn't work, ``ValueError`` for another word.
    """
    if choice not in {"auto", Kind.BWRAP, Kind.LIMITS}:
        raise ValueError(f"BENCHWIRE_SANDBOX is auto, bwrap or limits, not {choice!r}")
    if choice == Kind.LIMITS:
        return Sandbox(kind=Kind.LIMITS, reason="chosen by BENCHWIRE_SANDBOX")
    problem = await _bwrap_problem()
    if problem is None:
        return Sandbox(kind=Kind.BWRAP)
    if choice == Kind.BWRAP:
        raise SandboxUnavailable(f"BENCHWIRE_SANDBOX=bwrap, but {problem}")
    return Sandbox(kind=Kind.LIMITS, reason=problem)


def python_paths() -> tuple[Path, ...]:
    """What this interpreter and its packages need to be readable inside: the prefix, the base it links to, the boards package."""
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(benchwire.boards.__path__[0]).parents[1]]
    hop = Path(sys.executable)
    while hop.is_symlink():  # a venv's python may point to a link beside the real installation
        hop = hop.parent / hop.readlink()
        found.append(hop.parent.parent)
    return tuple(dict.fromkeys(path for path in found if not path.is_relative_to("/usr")))


def text(data: bytes | bytearray) -> str:
    """Bytes from a tool or a board, as text; what is no UTF-8 is replaced, not refused."""
    return data.decode("utf-8", errors="replace")


async def keep(reader: asyncio.StreamReader | None, max_bytes: int) -> bytes:
    """The first ``max_bytes`` of a stream; what comes after is read and dropped, so that the writer never blocks."""
    kept = bytearray()
    await collect(reader, kept, max_bytes)
    return bytes(kept)


async def collect(reader: asyncio.StreamReader | None, kept: bytearray, max_bytes: int) -> None:
    """As ``keep``, into ``kept``, for whoever may not want to wait for the end."""
    assert reader is not None, "spawn always makes pipes"
    while data := await reader.read(1 << 16):
        kept += data[: max_bytes - len(kept)]


def sweep(variable: str, value: str) -> None:
    """Ends every process in whose environment ``variable`` begins with ``value``: also one that left its group or lost its parent."""
    wanted = f"{variable}={value}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to somebody else
            marked = any(one.startswith(wanted) for one in (entry / "environ").read_bytes().split(b"\0"))
            if marked and int(entry.name) != os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)


def _children(pid: int) -> list[psutil.Process]:
    """Reads what /proc says of every process of the host."""
    return psutil.Process(pid).children()


@cache
def _system() -> tuple[str, ...]:
    """What shows the host's programs and libraries inside; looked up once, because it asks the disk."""
    binds = ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        path = Path(name)
        if path.is_symlink():  # merged /usr
            binds += ["--symlink", str(path.readlink()), name]
        else:
            binds += ["--ro-bind-try", name, name]
    for name in ("/etc/alternatives", "/etc/ld.so.cache"):
        binds += ["--ro-bind-try", name, name]
    return tuple(binds)


def _bwrap(workdir: Path, readable: Sequence[Path]) -> list[str]:
    argv = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", *_system()]
    argv += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    for path in readable:
        argv += ["--ro-bind", str(path), str(path)]
    return [*argv, "--bind", str(workdir), INSIDE, "--chdir", INSIDE, "--"]


async def _bwrap_problem() -> str | None:
    """Why bubblewrap does not work here; None when it does. It may be installed and yet be refused by the kernel or a container."""
    await asyncio.to_thread(_system)
    argv = _bwrap(Path("/usr"), ())  # any directory will do; nothing is written
    try:
        async with child.spawn([*argv, "true"], stdout=child.DEVNULL, stderr=child.PIPE) as process:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                _, stderr = await process.communicate()
    except FileNotFoundError:
        return "bubblewrap is not installed (package bubblewrap)"
    except TimeoutError:
        return f"bubblewrap did not answer within {PROBE_TIMEOUT_S:g} s"
    return None if process.returncode == 0 else f"bubblewrap does not work here: {text(stderr).strip()}"
