"""Run an image as if it had been flashed at 0: `python -m benchwire.boards.virtual.avr.simulate IMAGE.bin --mcu atmega328p`.

For what goes where and the exit codes see `benchwire.boards.virtual.simulating`.
"""

import sys
from collections.abc import Sequence
from functools import partial

from benchwire.boards.virtual import simulating
from benchwire.boards.virtual.avr import simavr
from benchwire.boards.virtual.avr.machine import Atmega
from benchwire.boards.virtual.emulated import Emulation

MODULE = "benchwire.boards.virtual.avr.simulate"


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate one image; returns the exit code."""
    parser = simulating.parser(module=MODULE, title="Run an image for an AVR in simavr.")
    parser.add_argument("--mcu", default="atmega328p", help="the chip, as simavr calls it (default atmega328p)")
    arguments = parser.parse_args(argv)
    try:
        image = arguments.image.read_bytes()
    except OSError as error:
        simulating.remark(f"can't load {arguments.image}: {error}")
        return simulating.NO_INPUT
    simavr.own_words_to_stderr()
    output = simulating.Output(arguments.max_bytes)
    try:
        emulation = Emulation(partial(Atmega, arguments.mcu, image), send=output.write, cpu_share=simulating.CPU_SHARE)
    except simavr.SimavrUnusable as error:
        simulating.remark(f"can't run {arguments.image}: {error}")
        return simulating.REFUSED
    try:
        return simulating.run(emulation, output, arguments.timeout_s)
    except BrokenPipeError:
        return simulating.OUTPUT_GONE


if __name__ == "__main__":
    sys.exit(main())
