"""A way to run commands, and the running of them."""

import asyncio
import contextlib
import os
import signal
import tempfile
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path

import msgspec

from benchwire.agent.beside import beside
from benchwire.agent.sandbox import fence, folder, syscalls, tree
from benchwire.agent.sandbox.ids import Ids
from benchwire.agent.sandbox.leftovers import remove, sweep
from benchwire.agent.sandbox.limits import Finished, Limits
from benchwire.agent.sandbox.output import collect, text
from benchwire.agent.sandbox.reach import Reach
from benchwire.agent.sandbox.watch import Look, Place, Watch
from benchwire.events import child

WORKDIR = "BENCHWIRE_WORKDIR"  # in the environment of whatever runs in here: by it, what a killed owner left is found
MARK = "BENCHWIRE_RUN"  # in the environment of one run, where no namespace holds together what it started
STOP_TIMEOUT_S = 1.0
LOOK_S = 0.05
# Without a namespace, somebody may slip away and keep the output open; what was printed until then is enough.
TAIL_S = 0.5
TMPFS = ("/tmp", "/dev/shm")  # noqa: S108 - the sandbox's own
FENCE_PROCESSES = 2  # bubblewrap outside, and the first process inside


class Kind(StrEnum):
    """How much the sandbox holds: ``bwrap`` is isolation and limits, ``limits`` is limits alone, and in ``nothing`` nothing is run."""

    BWRAP = "bwrap"
    LIMITS = "limits"
    NOTHING = "nothing"


class SandboxUnavailable(RuntimeError):
    """Nothing that a model wrote is run on this host; the sentence says why, and what to do."""


class _Fenced(msgspec.Struct, frozen=True, kw_only=True):
    """All that a child process is started with."""

    argv: list[str]
    cwd: Path
    environment: Mapping[str, str]
    files: Sequence[int]
    place: Place
    changes_user: bool


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """A way to run commands. ``reason`` says why it is not bubblewrap, when it isn't, or what bubblewrap does without here.

    ``counts`` is whether the kernel counts the processes of each command by themselves, ``no_userns`` whether this bubblewrap can
    keep what runs inside from making namespaces.
    """

    kind: Kind
    reason: str = ""
    ids: Ids = msgspec.field(default_factory=Ids)
    reach: Reach = msgspec.field(default_factory=Reach)
    counts: bool = True
    no_userns: bool = True

    @property
    def refusal(self) -> str | None:
        """Why nothing is run here, for whoever asked for it; None when it is."""
        if self.kind is not Kind.NOTHING:
            return None
        return (
            f"this runner runs nothing that a model wrote: {self.reason}. Make bubblewrap work, or allow less by name: "
            "BENCHWIRE_SANDBOX=limits, with which such code sees this host's files and has its network"
        )

    def environment(self, workdir: Path, temporary: Path | None = None) -> Mapping[str, str]:
        """All that a command sees of the environment: no keys, no tokens. Messages come untranslated and in ASCII."""
        own = "/tmp" if self.kind is Kind.BWRAP else str(temporary or workdir)  # noqa: S108 - the sandbox's own, empty and gone with it
        path = os.environ.get("PATH", os.defpath)
        return {
            "PATH": path, "LC_ALL": "C", "HOME": own, "TMPDIR": own, "USER": "sandbox", "LOGNAME": "sandbox",
            WORKDIR: str(workdir.absolute()),
        }  # fmt: skip

    @contextlib.asynccontextmanager
    async def spawn(
        self,
        argv: Sequence[str],
        *,
        workdir: Path,
        limits: Limits,
        readable: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        watch: Watch | None = None,
        stdin: int = child.DEVNULL,
    ) -> AsyncGenerator[Process, None]:
        """Starts a command with its two outputs as pipes; leaving the context ends it and all it started.

        ``readable`` paths are visible beside ``/usr``; ``environment`` is added to what every command has. ``watch`` is told which
        limit was broken, if one was: the command is then ended. Raises ``SandboxUnavailable`` and OSError.
        """
        watch = watch or Watch()
        async with (
            self._fenced(argv, workdir, limits, readable, environment or {}) as made,
            child.spawn(
                made.argv,
                cwd=made.cwd,
                env=made.environment,
                stdin=stdin,
                stdout=child.PIPE,
                stderr=child.PIPE,
                pass_fds=made.files,
                asks_itself=made.changes_user,
            ) as process,
        ):
            await asyncio.to_thread(_expendable, process.pid)
            look = Look(process.pid, made.place, limits)
            try:
                async with beside(watch.keep(look, lambda: self.stop(process))):
                    yield process
                    await watch.last(look)
            finally:
                await self.stop(process)

    @contextlib.asynccontextmanager
    async def _fenced(
        self,
        argv: Sequence[str],
        workdir: Path,
        limits: Limits,
        readable: Sequence[Path],
        environment: Mapping[str, str],
    ) -> AsyncGenerator[_Fenced, None]:
        if self.refusal is not None:
            raise SandboxUnavailable(self.refusal)
        workdir = await asyncio.to_thread(workdir.resolve)
        before_bytes = await asyncio.to_thread(folder.countable_bytes, workdir)
        async with (
            self.ids.leased(workdir, ends=self.kind is Kind.LIMITS) as uid,
            self.reach.to([] if uid is None else [workdir, *readable]) as there,
        ):
            if self.kind is Kind.BWRAP:
                with syscalls.opened() as file:
                    closed = fence.bwrap(workdir, readable, limits=limits, filter_file=file, no_userns=self.no_userns)
                    yield _Fenced(
                        argv=[*there, *fence.as_id(uid, [*closed, *limits.prlimit(processes=self.counts), *argv])],
                        cwd=Path("/"),
                        environment={**self.environment(workdir), **environment},
                        files=() if file is None else (file,),
                        changes_user=uid is not None,
                        place=Place(disk=[workdir], before_bytes=before_bytes, tmpfs=TMPFS, processes=FENCE_PROCESSES),
                    )
                return
            async with _temporary(uid) as temporary:
                mark = uuid.uuid4().hex
                # Outside of a namespace, an ordinary user's processes all count as one crowd.
                limited = [*limits.prlimit(processes=uid is not None), *argv]
                dropped = (
                    fence.as_id(uid, limited) if uid is not None else ["setpriv", "--no-new-privs", "--", *limited]
                )
                try:
                    yield _Fenced(
                        argv=[*there, "env", "-C", str(workdir), *dropped],
                        changes_user=uid is not None,
                        cwd=Path("/"),
                        environment={**self.environment(workdir, temporary), **environment, MARK: mark},
                        files=(),
                        place=Place(disk=[workdir, temporary], before_bytes=before_bytes),
                    )
                finally:
                    await asyncio.to_thread(sweep, MARK, mark)

    async def stop(self, process: Process) -> None:
        """Ends a command of this sandbox within milliseconds. Idempotent.

        Bubblewrap is ended from within: it then reaps what it ran. Killed itself, it would leave that to the host's init, and in a
        container there may be none that reaps.
        """
        if process.returncode is None:
            below = tree.children if self.kind is Kind.BWRAP else tree.below
            for one in await asyncio.to_thread(below, process.pid) or [process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
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
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        """Runs a command to its end; a cancel ends it. Each output is kept up to ``max_bytes``, and read to its end beyond.

        Raises ``SandboxUnavailable`` and OSError.
        """
        watch, stdout, stderr = Watch(), bytearray(), bytearray()
        heard = partial(watch.heard, limits=limits)
        async with (
            self.spawn(
                argv, workdir=workdir, limits=limits, readable=readable, environment=environment, watch=watch
            ) as process,
            beside(collect(process.stdout, stdout, max_bytes, heard)) as one,
            beside(collect(process.stderr, stderr, max_bytes, heard)) as other,
        ):
            while process.returncode is None and not (one.done() and other.done()):
                await asyncio.wait({one, other}, timeout=LOOK_S)
            await asyncio.wait({one, other}, timeout=TAIL_S)
            # wait() answers at once, but not while somebody still has the pipes.
            returncode = await (process.wait() if one.done() and other.done() else child.exited(process))
        return Finished(returncode=returncode, stdout=text(stdout), stderr=text(stderr), broken=watch.broken)


def _expendable(pid: int) -> None:
    """When the host runs out of memory, this goes first."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


@contextlib.asynccontextmanager
async def _temporary(uid: int | None) -> AsyncGenerator[Path, None]:
    """A directory for temporary files where no namespace gives one."""
    made = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="benchwire-"))
    try:
        if uid is not None:
            await asyncio.to_thread(os.chown, made, uid, uid)
        yield made
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(remove, made)
