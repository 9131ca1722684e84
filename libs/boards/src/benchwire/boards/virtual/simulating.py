"""What the simulators that are modules of this package have in common as commands: `python -m MODULE IMAGE`.

What the UART prints goes to stdout, stdin goes to the UART, remarks go to stderr. Exit codes: 0 the time or the bytes ran
out, or nothing can wake the app any more; 134 the app crashed; 65 the image can't be run; 66 there is no such file or it
doesn't fit in the flash; 74 whoever read the output went away.
"""

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from benchwire.boards.virtual.emulated import Emulation, Ending

CRASHED = 134  # what a shell reports for an aborted process, e.g. a QEMU whose processor locked up
REFUSED = os.EX_DATAERR
NO_INPUT = os.EX_NOINPUT
OUTPUT_GONE = os.EX_IOERR

# A run is short and somebody waits for it: it may keep most of a core busy.
CPU_SHARE = 0.8


class Output:
    """Standard output with a limit; `on_full` is called when it is reached."""

    def __init__(self, max_bytes: int) -> None:
        self.left_bytes = max_bytes
        self.on_full: Callable[[], None] | None = None

    def write(self, data: bytes) -> None:
        """Write at once what the limit leaves of `data`."""
        part = data[: self.left_bytes]
        self.left_bytes -= len(part)
        while part:
            part = part[os.write(sys.stdout.fileno(), part) :]
        if self.left_bytes == 0 and self.on_full is not None:
            self.on_full()


def parse(argv: Sequence[str] | None, *, module: str, title: str) -> argparse.Namespace:
    """`image` (a path), `timeout_s` and `max_bytes`, as the runner of simulations gives them to any such module."""
    return parser(module=module, title=title).parse_args(argv)


def parser(*, module: str, title: str) -> argparse.ArgumentParser:
    """Of what `parse` gives; a module that takes more adds it."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=title)
    parser.add_argument("image", type=Path, help="what would be written to the chip's flash")
    parser.add_argument("--timeout-s", type=float, default=5.0, help="real time that the app gets (default 5)")
    parser.add_argument("--max-bytes", type=int, default=65536, help="end after so much output (default 65536)")
    return parser


def run(emulation: Emulation, output: Output, timeout_s: float) -> int:
    """Run the app between stdin and `output`; the exit code. Raises BrokenPipeError when nobody reads any more."""
    output.on_full = emulation.stop
    ending = _run(emulation, timeout_s)
    if emulation.lost_bytes:
        remark(f"{emulation.lost_bytes} bytes were written to a UART that had no room and lost: look before writing")
    if ending.kind == "crashed":
        remark(ending.reason)
        return CRASHED
    if output.left_bytes == 0:
        remark("stopped: the output reached its limit")
    elif ending.kind == "halted":
        remark(f"halted: {ending.reason}")
    else:
        remark("stopped: the time is over")
    return 0


def remark(sentence: str) -> None:
    """Tell something that the app didn't print."""
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201 - a command's own output


def _run(emulation: Emulation, timeout_s: float) -> Ending:
    timer = threading.Timer(timeout_s, emulation.stop)
    timer.daemon = True
    timer.start()
    # A daemon, because a read of stdin can't be interrupted and must not outlive the run.
    threading.Thread(target=_feed_stdin, args=(emulation,), daemon=True).start()
    try:
        return emulation.run()
    finally:
        timer.cancel()


def _feed_stdin(emulation: Emulation) -> None:
    try:
        while data := os.read(sys.stdin.fileno(), 4096):
            emulation.feed(data)
    except (OSError, ValueError, AttributeError):
        return  # started without a stdin: nothing will ever arrive
