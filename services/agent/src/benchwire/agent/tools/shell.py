"""A shell for a session: bash in the session's own directory, in the sandbox, with a deadline and a cap on what it prints."""

import asyncio
import contextlib
from functools import partial
from pathlib import Path

import msgspec

from benchwire.agent.beside import beside
from benchwire.agent.sandbox import Limits, Sandbox, SandboxUnavailable, Watch, collect, text
from benchwire.events import child

MAX_COMMAND_BYTES = 120 * 1024  # Linux takes 128 KiB in one argument
MAX_OUTPUT_BYTES = 64 * 1024
MAX_TIMEOUT_S = 600.0
TAIL_S = 0.2  # a background process may keep the output open; what was printed until then is enough
LIMITS = Limits(
    cpu_s=600, address_bytes=8 << 30, file_bytes=1 << 30, processes=256, memory_bytes=2 << 30, disk_bytes=1 << 30
)


class CommandRefused(ValueError):
    """No command line that can be run."""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a command printed (both outputs, as they came), and how it ended.

    ``exit_code`` is None when its time was up; ``broken`` says which other limit ended it, if one did.
    """

    output: str
    exit_code: int | None
    cut: bool
    broken: str | None = None

    def __str__(self) -> str:
        end = "its time was up, it was ended" if self.exit_code is None else f"exit code {self.exit_code}"
        end = end if self.broken is None else f"{self.broken}; it was ended"
        cut = f"\n[only the first {MAX_OUTPUT_BYTES} bytes of the output are shown]" if self.cut else ""
        return f"{self.output.rstrip()}{cut}\n[{end}]".lstrip()


async def run(command: str, *, workdir: Path, sandbox: Sandbox, timeout_s: float) -> Ran:
    """Runs ``command`` with bash; nothing that it started is left afterwards, also when the caller is cancelled.

    Raises ``CommandRefused`` and OSError.
    """
    if "\0" in command:
        raise CommandRefused("a command cannot hold a NUL character")
    command = command.encode(errors="replace").decode()
    if len(command.encode()) > MAX_COMMAND_BYTES:
        raise CommandRefused(
            f"a command has at most {MAX_COMMAND_BYTES} bytes: write a longer one to a file, and run that"
        )
    # Both outputs in one, so that they stand in the order in which they were printed.
    argv = ["bash", "-c", f"exec 2>&1\n{command}"]
    printed = bytearray()
    watch = Watch()
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with sandbox.spawn(argv, workdir=workdir, limits=LIMITS, watch=watch) as process:
                hears = partial(watch.heard, limits=LIMITS)
                reading = await stack.enter_async_context(
                    beside(collect(process.stdout, printed, MAX_OUTPUT_BYTES + 1, hears))
                )
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(timeout_s, MAX_TIMEOUT_S)):
                        await child.exited(process)
                exit_code = process.returncode
                if exit_code is not None:
                    await asyncio.wait([reading], timeout=TAIL_S)
        except SandboxUnavailable as error:
            raise CommandRefused(str(error)) from error
        # Whoever held the pipe is gone; without bubblewrap, one may have slipped away with it.
        await asyncio.wait([reading], timeout=TAIL_S)
    output, cut = text(printed[:MAX_OUTPUT_BYTES]), len(printed) > MAX_OUTPUT_BYTES
    return Ran(output=output, exit_code=exit_code, cut=cut, broken=watch.broken)
