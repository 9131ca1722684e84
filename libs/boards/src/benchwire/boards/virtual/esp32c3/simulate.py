"""Run an image as if it had been flashed at 0x0: `python -m benchwire.boards.virtual.esp32c3.simulate IMAGE.bin`.

What the UART prints (the ROM's boot log included) goes to stdout, stdin goes to the UART, remarks go to stderr.
Exit codes: 0 the time or the bytes ran out, or nothing can wake the app any more; 134 the app crashed; 65 the ROM
refuses the image; 66 there is no such file or it doesn't fit in the flash; 74 whoever read the output went away.
"""

import argparse
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from benchwire.boards.virtual.esp32c3.app import App
from benchwire.boards.virtual.esp32c3.boot import boot
from benchwire.boards.virtual.esp32c3.machine import Ending
from benchwire.boards.virtual.esp32c3.nor import Nor, NorError
from benchwire.boards.virtual.esp32c3.sram import Sram

CRASHED = 134  # what a shell reports for an aborted process, e.g. a QEMU whose processor locked up
REFUSED = os.EX_DATAERR
NO_INPUT = os.EX_NOINPUT
OUTPUT_GONE = os.EX_IOERR

MAC = bytes.fromhex("02c3c3c3c3c3")
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


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate one image; returns the exit code."""
    arguments = _parse(argv)
    sram = Sram()
    output = Output(arguments.max_bytes)
    try:
        with Nor.in_memory() as nor:
            nor.program(0, arguments.image.read_bytes())
            found = boot(nor, sram)
    except (OSError, NorError) as error:
        _remark(f"can't load {arguments.image}: {error}")
        return NO_INPUT
    try:
        output.write(found.log.encode())
        if found.entry is None:
            _remark(f"the ROM refuses the image: {found.refusal}")
            return REFUSED
        return _run_app(sram, found.entry, output, arguments.timeout_s)
    except BrokenPipeError:
        return OUTPUT_GONE


def _run_app(sram: Sram, entry: int, output: Output, timeout_s: float) -> int:
    app = App(sram, entry, mac=MAC, send=output.write, cpu_share=CPU_SHARE)
    output.on_full = app.stop
    ending = _run(app, timeout_s)
    return _report(ending, app, output)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchwire.boards.virtual.esp32c3.simulate", description="Run an ESP32-C3 image on a model."
    )
    parser.add_argument("image", type=Path, help="what would be written to flash at 0x0")
    parser.add_argument("--timeout-s", type=float, default=5.0, help="real time that the app gets (default 5)")
    parser.add_argument("--max-bytes", type=int, default=65536, help="end after so much output (default 65536)")
    return parser.parse_args(argv)


def _run(app: App, timeout_s: float) -> Ending:
    timer = threading.Timer(timeout_s, app.stop)
    timer.daemon = True
    timer.start()
    # A daemon, because a read of stdin can't be interrupted and must not outlive the run.
    threading.Thread(target=_feed_stdin, args=(app,), daemon=True).start()
    try:
        return app.run()
    finally:
        timer.cancel()


def _feed_stdin(app: App) -> None:
    try:
        while data := os.read(sys.stdin.fileno(), 4096):
            app.feed(data)
    except (OSError, ValueError, AttributeError):
        return  # started without a stdin: nothing will ever arrive


def _report(ending: Ending, app: App, output: Output) -> int:
    if app.lost_bytes:
        _remark(f"{app.lost_bytes} bytes were written to a full UART FIFO and lost: check STATUS before writing")
    if ending.kind == "crashed":
        _remark(f"Guru Meditation Error: Core  0 panic'ed ({ending.reason})")
        return CRASHED
    if output.left_bytes == 0:
        _remark("stopped: the output reached its limit")
    elif ending.kind == "halted":
        _remark(f"halted: {ending.reason}")
    else:
        _remark("stopped: the time is over")
    return 0


def _remark(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)  # noqa: T201 - a command's own output


if __name__ == "__main__":
    sys.exit(main())
