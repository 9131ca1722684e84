"""Run an image as if it had been flashed at 0x08000000: `python -m benchwire.boards.virtual.cortexm.l475.simulate IMAGE.bin`.

For what goes where and the exit codes see `benchwire.boards.virtual.simulating`.
"""

import sys
from collections.abc import Sequence
from functools import partial

from benchwire.boards.virtual import simulating
from benchwire.boards.virtual.cortexm.chips.stm32l475 import CHIP
from benchwire.boards.virtual.cortexm.l475.machine import L475
from benchwire.boards.virtual.emulated import Emulation

MODULE = "benchwire.boards.virtual.cortexm.l475.simulate"


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate one image; returns the exit code."""
    arguments = simulating.parse(argv, module=MODULE, title="Run an STM32L475 image on a model.")
    try:
        image = arguments.image.read_bytes()
    except OSError as error:
        simulating.remark(f"can't load {arguments.image}: {error}")
        return simulating.NO_INPUT
    if len(image) > CHIP.flash_bytes:
        simulating.remark(f"can't load {arguments.image}: {len(image)} bytes don't fit in {CHIP.flash_bytes}")
        return simulating.NO_INPUT
    output = simulating.Output(arguments.max_bytes)
    emulation = Emulation(partial(L475, image), send=output.write, cpu_share=simulating.CPU_SHARE)
    try:
        return simulating.run(emulation, output, arguments.timeout_s)
    except BrokenPipeError:
        return simulating.OUTPUT_GONE


if __name__ == "__main__":
    sys.exit(main())
