"""The firmware in flash, running in QEMU: the machine that the chip's description names, its first UART joined to the board's port."""

import asyncio
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from benchwire.boards.virtual.cortexm.app import CannotRun
from benchwire.boards.virtual.cortexm.description import Description, Qemu
from benchwire.boards.virtual.uart import Uart

NICENESS = 10
# What a UART at 921600 baud carries: a firmware that floods its port has to wait for it, here as there.
READ_BYTES, READ_PAUSE_S = 512, 0.005
STDERR_BYTES = 4096


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended by itself."""

    returncode: int
    stderr: str


class QemuApp:
    """See `App`. At most one QEMU at a time; it dies with this process, whatever kills that.

    `send` gets what the firmware prints. `flash_file` only names the board to whoever looks at the processes.
    """

    def __init__(
        self, chip: Description, machine: Qemu, *, uart: Uart, send: Callable[[bytes], None], flash_file: Path
    ) -> None:
        self.starts = 0
        self.last_ending: Ending | None = None
        self._chip = chip
        self._machine = machine
        self._uart = uart
        self._print = send
        self._flash_file = flash_file
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

    async def start(self, image: bytes, tasks: asyncio.TaskGroup) -> None:
        """Boot `image`."""
        await self.stop()
        used = image.rstrip(b"\xff")
        self._check(used)
        ours, theirs = socket.socketpair()
        with theirs, firmware_file(used) as image_fd:
            ours.settimeout(0)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *command(self._machine.machine, image_fd, theirs.fileno(), self._flash_file),
                    pass_fds=[image_fd, theirs.fileno()],
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

    def _check(self, used: bytes) -> None:
        machine, chip = self._machine, self._chip
        if len(used) > machine.flash_bytes:
            raise CannotRun(
                f"the firmware reaches to byte {len(used)} of flash, and the simulator (QEMU {machine.machine}) "
                f"has {machine.flash_bytes}: it is flashed, but not run"
            )
        (stack,) = struct.unpack_from("<I", used.ljust(4, b"\xff"))
        over = stack - chip.ram[0].base - machine.ram_bytes
        if over > 0 and chip.ram[0].holds(stack - 1):
            raise CannotRun(
                f"the firmware's stack starts at {stack:#010x}, {over} bytes above the RAM of the simulator "
                f"(QEMU {machine.machine}, {machine.ram_bytes} bytes): it is flashed, but not run"
            )

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
                self._print(data)
                await asyncio.sleep(READ_PAUSE_S)


@contextmanager
def firmware_file(image: bytes) -> Iterator[int]:
    """The descriptor of a file without a path that holds `image`: QEMU reads it at its start, and nothing remains."""
    fd = os.memfd_create("firmware", 0)
    try:
        written = 0
        while written < len(image):
            written += os.write(fd, image[written:])
        yield fd
    finally:
        os.close(fd)


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


def command(machine: str, image_fd: int, uart_fd: int, flash_file: Path) -> list[str]:
    """The command line that boots the image behind `image_fd`.

    No semihosting: with it, firmware could run commands on this host. The sandbox denies QEMU what it needs for that.
    """
    return [
        *("nice", "-n", str(NICENESS)),
        *("setpriv", "--pdeathsig", "KILL"),
        *("qemu-system-arm", "-machine", machine, "-kernel", f"/dev/fd/{image_fd}"),
        *("-name", str(flash_file).replace(",", ",,")),
        *("-nodefaults", "-display", "none", "-monitor", "none"),
        *("-sandbox", "on,spawn=deny,obsolete=deny,resourcecontrol=deny"),
        *("-chardev", f"socket,id=uart,fd={uart_fd}", "-serial", "chardev:uart"),
    ]
