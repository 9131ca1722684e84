"""The firmware in flash, running: QEMU's netduinoplus2 machine (an STM32F405) with its USART1 joined to the board's port."""

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from benchwire.boards.virtual.uart import Uart

NICENESS = 10
# What a UART at 921600 baud carries: a firmware that floods its port has to wait for it, here as there.
READ_BYTES, READ_PAUSE_S = 512, 0.005
STDERR_BYTES = 4096


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended by itself."""

    returncode: int
    stderr: str


class App:
    """At most one QEMU at a time. It dies with this process, whatever kills that."""

    def __init__(self, uart: Uart, image: Path) -> None:
        self.starts = 0
        self.last_ending: Ending | None = None
        self._uart = uart
        self._image = image
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether a program runs now."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """QEMU's process id."""
        return self._process.pid if self._process else None

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Boot what the image file holds now. The task that serves its UART belongs to `tasks`."""
        await self.stop()
        ours, theirs = socket.socketpair()
        with theirs:
            ours.settimeout(0)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *command(self._image, theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
            except BaseException:
                ours.close()
                raise
        self.starts += 1
        self.last_ending = None
        self._uart.on_receive(lambda data: send_or_lose(ours, data))
        self._watch = tasks.create_task(self._serve(self._process, ours), name="firmware")

    async def stop(self) -> None:
        """Take the program away, if one runs; what it printed last may be lost, as on a chip."""
        process, watch = self._process, self._watch
        self._process = self._watch = None
        self._uart.on_receive(None)
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if watch is not None:
            await watch

    async def _serve(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        assert process.stderr is not None
        with line:
            stderr, _ = await asyncio.gather(drain(process.stderr), self._carry(line))
            returncode = await process.wait()
        if self._process is process:
            self._process = None
            self._uart.on_receive(None)
            self.last_ending = Ending(returncode=returncode, stderr=stderr)
            print(f"the firmware's emulator ended by itself: {self.explain()}", file=sys.stderr, flush=True)  # noqa: T201

    def explain(self) -> str | None:
        """Why nothing runs, in words; None while there is nothing to explain."""
        ending = self.last_ending
        if ending is None:
            return None
        how = (
            f"killed by {signal.Signals(-ending.returncode).name}"
            if ending.returncode < 0
            else f"exit {ending.returncode}"
        )
        first_line = ending.stderr.strip().partition("\n")[0]
        return f"{how}: {first_line}" if first_line else how

    async def _carry(self, line: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ConnectionResetError):
            while data := await loop.sock_recv(line, READ_BYTES):
                self._uart.write(data)
                await asyncio.sleep(READ_PAUSE_S)


async def drain(stream: asyncio.StreamReader) -> str:
    """Read to the end; the first STDERR_BYTES of it, as text."""
    kept = b""
    while data := await stream.read(STDERR_BYTES):
        kept = (kept + data)[:STDERR_BYTES]
    return kept.decode(errors="replace")


def send_or_lose(line: socket.socket, data: bytes) -> None:
    """Send what fits; a firmware that doesn't read its UART loses the rest."""
    with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
        line.send(data)


def command(image: Path, uart_fd: int) -> list[str]:
    """The command line that boots `image`.

    No semihosting: with it, firmware could run commands on this host. The sandbox denies QEMU what it needs for that.
    """
    return [
        *("nice", "-n", str(NICENESS)),
        *("setpriv", "--pdeathsig", "KILL"),
        *("qemu-system-arm", "-machine", "netduinoplus2", "-kernel", str(image)),
        *("-nodefaults", "-display", "none", "-monitor", "none"),
        *("-sandbox", "on,spawn=deny,obsolete=deny,resourcecontrol=deny"),
        *("-chardev", f"socket,id=usart1,fd={uart_fd}", "-serial", "chardev:usart1"),
    ]
