"""An app of the ESP32-C3: its machine, run as every emulated app is."""

from collections.abc import Callable

from benchwire.boards.virtual.emulated import Emulation
from benchwire.boards.virtual.esp.c3.machine import Machine
from benchwire.boards.virtual.esp.ram import Ram


def app(ram: Ram, entry: int, *, mac: bytes, send: Callable[[bytes], None], cpu_share: float = 0.2) -> Emulation:
    """One run of the code at `entry`, from a reset on."""
    return Emulation(lambda wait: Machine(ram, entry, mac, wait), send=send, cpu_share=cpu_share)
