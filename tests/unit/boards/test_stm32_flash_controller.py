"""The rules of the STM32F4 flash controller, without a CPU."""

import pytest

from benchwire.boards.virtual.stm32 import flash
from benchwire.boards.virtual.stm32.flash import BitFlip, FlashController
from benchwire.boards.virtual.stm32.layout import FLASH_BYTES, SECTOR_BYTES, sector_range

X32 = 2 << flash.CR_PSIZE_SHIFT
WORD = bytes.fromhex("78563412")


@pytest.fixture
def cells() -> bytearray:
    return bytearray(b"\xff" * FLASH_BYTES)


@pytest.fixture
def locked(cells: bytearray) -> FlashController:
    return FlashController(cells)


@pytest.fixture
def controller(locked: FlashController) -> FlashController:
    unlock(locked)
    return locked


def unlock(controller: FlashController) -> None:
    controller.write(flash.KEYR, flash.KEY1)
    controller.write(flash.KEYR, flash.KEY2)


def erase_sector(controller: FlashController, sector: int, extra: int = 0) -> None:
    controller.write(flash.CR, flash.CR_SER | sector << flash.CR_SNB_SHIFT | extra)
    controller.write(flash.CR, flash.CR_SER | sector << flash.CR_SNB_SHIFT | extra | flash.CR_STRT)


def test_the_sectors_fill_one_mebibyte() -> None:
    assert sum(SECTOR_BYTES) == FLASH_BYTES
    assert sector_range(4) == range(0x1_0000, 0x2_0000)
    assert sector_range(11) == range(0xE_0000, 0x10_0000)


def test_a_locked_controller_ignores_its_control_register(locked: FlashController) -> None:
    locked.write(flash.CR, flash.CR_PG | X32)
    assert locked.read(flash.CR) == flash.CR_LOCK


def test_both_keys_in_order_unlock(controller: FlashController) -> None:
    assert not controller.locked


def test_a_wrong_key_blocks_until_reset(locked: FlashController) -> None:
    locked.write(flash.KEYR, 0xDEADBEEF)
    unlock(locked)
    assert locked.locked
    locked.reset()
    unlock(locked)
    assert not locked.locked


def test_a_key_while_unlocked_blocks_the_next_unlock(controller: FlashController) -> None:
    controller.write(flash.KEYR, flash.KEY1)
    controller.write(flash.CR, flash.CR_LOCK)
    unlock(controller)
    assert controller.locked


def test_programming_takes_bits_from_one_to_zero_only(controller: FlashController, cells: bytearray) -> None:
    controller.write(flash.CR, flash.CR_PG | X32)
    controller.program(0x100, bytes.fromhex("0ff0ffff"))
    controller.program(0x100, bytes.fromhex("ffff00aa"))
    assert cells[0x100:0x104].hex() == "0ff000aa"
    assert controller.read(flash.SR) == 0


def test_a_store_without_pg_is_a_sequence_error(controller: FlashController, cells: bytearray) -> None:
    controller.program(0, WORD)
    assert controller.read(flash.SR) == flash.SR_PGSERR
    assert cells[:4] == b"\xff" * 4


def test_a_store_into_locked_flash_changes_nothing(locked: FlashController, cells: bytearray) -> None:
    locked.program(0, WORD)
    assert cells[:4] == b"\xff" * 4
    assert locked.read(flash.SR) == flash.SR_PGSERR


@pytest.mark.parametrize(("psize", "size"), [(0, 4), (1, 4), (2, 2), (2, 1), (3, 4)])
def test_a_store_of_another_size_than_psize_is_a_parallelism_error(
    controller: FlashController, cells: bytearray, psize: int, size: int
) -> None:
    controller.write(flash.CR, flash.CR_PG | psize << flash.CR_PSIZE_SHIFT)
    controller.program(0, bytes(size))
    assert controller.read(flash.SR) == flash.SR_PGPERR
    assert cells[:8] == b"\xff" * 8


def test_a_store_across_a_row_is_an_alignment_error(controller: FlashController) -> None:
    controller.write(flash.CR, flash.CR_PG | X32)
    controller.program(14, WORD)
    assert controller.read(flash.SR) == flash.SR_PGAERR


def test_flags_are_cleared_by_writing_ones(controller: FlashController) -> None:
    controller.program(0, WORD)
    controller.write(flash.SR, flash.SR_PGSERR)
    assert controller.read(flash.SR) == 0


def test_end_of_operation_shows_only_with_its_interrupt(controller: FlashController) -> None:
    erase_sector(controller, 0)
    assert controller.read(flash.SR) == 0
    erase_sector(controller, 0, extra=flash.CR_EOPIE)
    assert controller.read(flash.SR) == flash.SR_EOP


@pytest.mark.parametrize("sector", [0, 3, 4, 5, 11])
def test_erasing_a_sector_leaves_its_neighbours(controller: FlashController, cells: bytearray, sector: int) -> None:
    cells[:] = bytes(FLASH_BYTES)
    erase_sector(controller, sector)
    erased = sector_range(sector)
    assert cells[erased.start : erased.stop] == b"\xff" * len(erased)
    assert cells.count(0) == FLASH_BYTES - len(erased)


def test_a_sector_that_does_not_exist_is_not_erased(controller: FlashController, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    erase_sector(controller, 12)
    assert cells.count(0) == FLASH_BYTES
    assert controller.read(flash.SR) == flash.SR_PGSERR


def test_a_mass_erase_takes_everything(controller: FlashController, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    controller.write(flash.CR, flash.CR_MER | flash.CR_STRT)
    assert cells.count(0xFF) == FLASH_BYTES
    assert controller.erased_sectors == 12


def test_start_while_programming_is_enabled_erases_nothing(controller: FlashController, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    controller.write(flash.CR, flash.CR_MER | flash.CR_PG | flash.CR_STRT)
    assert cells.count(0) == FLASH_BYTES
    assert controller.read(flash.SR) == flash.SR_PGSERR


def test_a_failing_cell_fails_once(controller: FlashController, cells: bytearray) -> None:
    controller.flips.append(BitFlip(offset=0x102, bit=7))
    controller.write(flash.CR, flash.CR_PG | X32)
    controller.program(0x100, WORD)
    assert cells[0x100:0x104].hex() == "7856b412"
    controller.program(0x104, WORD)
    assert cells[0x104:0x108] == WORD
    assert controller.flips == []
