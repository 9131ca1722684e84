"""What ST's chips have in common."""

import uuid

from benchwire.boards.virtual.cortexm.cpus import ROM_TABLE
from benchwire.boards.virtual.cortexm.description import ROM_TABLE_CLASS, Component

DBGMCU_IDCODE = 0xE004_2000


def rom_table(device_id: int) -> dict[int, Component]:
    """The ROM table carries ST's name and the DEV_ID of DBGMCU_IDCODE."""
    return {ROM_TABLE: Component(ROM_TABLE_CLASS, 0x0_000A_0000 | device_id)}


def unique_id(chip: str, board: str) -> bytes:
    """The 96-bit unique id, which follows from the board's name."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{chip}:{board}").bytes[:12]
