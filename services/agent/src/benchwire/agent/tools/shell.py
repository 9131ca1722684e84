"""A shell for a session: bash in the session's own directory, in the sandbox, with a deadline and a cap on what it prints."""

import asyncio
import contextlib
import uuid
from pathlib import Path

import msgspec

from benchwire.agent.beside import beside
from benchwire.agent.sandbox import Limits, Sandbox, collect, sweep, text
from benchwire.events import child

MAX_OUTPUT_BYTES = 64 * 1024
MAX_TIMEOUT_S = 600.0
TAIL_S = 0.2  # a background process may keep the output open; what was printed until then is enough
LIMITS = Limits(cpu_s=600, address_bytes=8 << 30, file_bytes=1 << 30)
MARK = "BENCHWIRE_RUN"  # in the environment of whatever a shell starts, so that a process which left its group is found


class CommandRefused(ValueError):
    """No command line that can be run."""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a command printed (both outputs, as they came), and how it ended; ``exit_code`` is None when its time was up."""

    output: str
    exit_code: int | None
    cut: bool

    def __str__(self) -> str:
        end = "its time was up, it was ended" if self.exit_code is None else f"exit code {self.exit_code}"
        cut = f"\n[only the first {MAX_OUTPUT_BYTES} bytes of the output are shown]" if self.cut else ""
        return f"{self.output.rstrip()}{cut}\n[{end}]".lstrip()


async def run(command: str, *, workdir: Path, sandbox: Sandbox, timeout_s: float, owner: str) -> Ran:
    """Runs ``command`` with bash; nothing that it started is left afterwards, also when the caller is cancelled.

    Raises ``CommandRefused``.
    """
    if "\0" in command:
        raise CommandRefused("a command cannot hold a NUL character")
    mark = f"{owner}/{uuid.uuid4().hex}"
    # Both outputs in one, so that they stand in the order in which they were printed.
    argv = ["env", f"{MARK}={mark}", "bash", "-c", f"exec 2>&1\n{command}"]
    printed = bytearray()
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with sandbox.spawn(argv, workdir=workdir, limits=LIMITS) as process:
                reading = await stack.enter_async_context(
                    beside(collect(process.stdout, printed, MAX_OUTPUT_BYTES + 1))
                )
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(timeout_s, MAX_TIMEOUT_S)):
                        await child.exited(process)
                exit_code = process.returncode
                if exit_code is not None:
                    await asyncio.wait([reading], timeout=TAIL_S)
        finally:
            await asyncio.to_thread(sweep, MARK, mark)
        # Whoever held the pipe is gone; without bubblewrap, one may have slipped away with it.
        await asyncio.wait([reading], timeout=TAIL_S)
    return Ran(output=text(printed[:MAX_OUTPUT_BYTES]), exit_code=exit_code, cut=len(printed) > MAX_OUTPUT_BYTES)
