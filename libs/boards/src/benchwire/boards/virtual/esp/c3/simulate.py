"""Run an image as if it had been flashed at 0x0: `python -m benchwire.boards.virtual.esp.c3.simulate IMAGE.bin`.

The ROM's boot log is printed, too. For the rest see `simulating.py`.
"""

import sys
from collections.abc import Sequence

from benchwire.boards.virtual import simulating
from benchwire.boards.virtual.esp.boot import boot
from benchwire.boards.virtual.esp.c3.app import app
from benchwire.boards.virtual.esp.chips import ESP32_C3
from benchwire.boards.virtual.esp.nor import Nor, NorError
from benchwire.boards.virtual.esp.ram import Ram

MODULE = "benchwire.boards.virtual.esp.c3.simulate"
MAC = bytes.fromhex("02c3c3c3c3c3")


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate one image; returns the exit code."""
    arguments = simulating.parse(argv, module=MODULE, title="Run an ESP32-C3 image on a model.")
    ram = Ram(ESP32_C3.ram)
    output = simulating.Output(arguments.max_bytes)
    try:
        nor = Nor.in_memory()
        nor.program(0, arguments.image.read_bytes())
        found = boot(ESP32_C3, nor, ram)
    except (OSError, NorError) as error:
        simulating.remark(f"can't load {arguments.image}: {error}")
        return simulating.NO_INPUT
    try:
        output.write(found.log.encode())
        if found.entry is None:
            simulating.remark(f"the ROM refuses the image: {found.refusal}")
            return simulating.REFUSED
        emulation = app(ram, found.entry, mac=MAC, send=output.write, cpu_share=simulating.CPU_SHARE)
        return simulating.run(emulation, output, arguments.timeout_s)
    except BrokenPipeError:
        return simulating.OUTPUT_GONE


if __name__ == "__main__":
    sys.exit(main())
