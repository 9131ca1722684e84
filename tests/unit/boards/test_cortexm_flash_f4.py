"""The rules of the STM32F4 flash controller, without a CPU."""

import pytest

from benchwire.boards.virtual.cortexm.flash import f4, st
from benchwire.boards.virtual.cortexm.flash.f4 import SECTOR_BYTES, FlashF4, sector_range
from benchwire.boards.virtual.flash_array import BitFlip, FlashArray

FLASH_BYTES = 1024 * 1024

X32 = 2 << f4.CR_PSIZE_SHIFT
WORD = bytes.fromhex("78563412")


@pytest.fixture
def locked(array: FlashArray) -> FlashF4:
    return FlashF4(array)


@pytest.fixture
def controller(locked: FlashF4) -> FlashF4:
    unlock(locked)
    return locked


def unlock(controller: FlashF4) -> None:
    controller.write(f4.KEYR, st.KEY1)
    controller.write(f4.KEYR, st.KEY2)


def erase_sector(controller: FlashF4, sector: int, extra: int = 0) -> None:
    controller.write(f4.CR, f4.CR_SER | sector << f4.CR_SNB_SHIFT | extra)
    controller.write(f4.CR, f4.CR_SER | sector << f4.CR_SNB_SHIFT | extra | f4.CR_STRT)


def test_the_sectors_fill_one_mebibyte() -> None:
    assert sum(SECTOR_BYTES) == FLASH_BYTES
    assert sector_range(4) == range(0x1_0000, 0x2_0000)
    assert sector_range(11) == range(0xE_0000, 0x10_0000)


def test_a_locked_controller_ignores_its_control_register(locked: FlashF4) -> None:
    locked.write(f4.CR, st.CR_PG | X32)
    assert locked.read(f4.CR) == f4.CR_LOCK


def test_both_keys_in_order_unlock(controller: FlashF4) -> None:
    assert not controller.read(f4.CR) & f4.CR_LOCK


def test_a_wrong_key_blocks_until_reset(locked: FlashF4) -> None:
    locked.write(f4.KEYR, 0xDEADBEEF)
    unlock(locked)
    assert locked.read(f4.CR) & f4.CR_LOCK
    locked.reset()
    unlock(locked)
    assert not locked.read(f4.CR) & f4.CR_LOCK


def test_a_key_while_unlocked_blocks_the_next_unlock(controller: FlashF4) -> None:
    controller.write(f4.KEYR, st.KEY1)
    controller.write(f4.CR, f4.CR_LOCK)
    unlock(controller)
    assert controller.read(f4.CR) & f4.CR_LOCK


def test_programming_takes_bits_from_one_to_zero_only(controller: FlashF4, cells: bytearray) -> None:
    controller.write(f4.CR, st.CR_PG | X32)
    controller.program(0x100, bytes.fromhex("0ff0ffff"))
    controller.program(0x100, bytes.fromhex("ffff00aa"))
    assert cells[0x100:0x104].hex() == "0ff000aa"
    assert controller.read(f4.SR) == 0


def test_a_store_without_pg_is_a_sequence_error(controller: FlashF4, cells: bytearray) -> None:
    controller.program(0, WORD)
    assert controller.read(f4.SR) == f4.SR_PGSERR
    assert cells[:4] == b"\xff" * 4


def test_a_store_into_locked_flash_changes_nothing(locked: FlashF4, cells: bytearray) -> None:
    locked.program(0, WORD)
    assert cells[:4] == b"\xff" * 4
    assert locked.read(f4.SR) == f4.SR_PGSERR


@pytest.mark.parametrize(("psize", "size"), [(0, 4), (1, 4), (2, 2), (2, 1), (3, 4)])
def test_a_store_of_another_size_than_psize_is_a_parallelism_error(
    controller: FlashF4, cells: bytearray, psize: int, size: int
) -> None:
    controller.write(f4.CR, st.CR_PG | psize << f4.CR_PSIZE_SHIFT)
    controller.program(0, bytes(size))
    assert controller.read(f4.SR) == f4.SR_PGPERR
    assert cells[:8] == b"\xff" * 8


def test_a_store_across_a_row_is_an_alignment_error(controller: FlashF4) -> None:
    controller.write(f4.CR, st.CR_PG | X32)
    controller.program(14, WORD)
    assert controller.read(f4.SR) == f4.SR_PGAERR


def test_flags_are_cleared_by_writing_ones(controller: FlashF4) -> None:
    controller.program(0, WORD)
    controller.write(f4.SR, f4.SR_PGSERR)
    assert controller.read(f4.SR) == 0


def test_end_of_operation_shows_only_with_its_interrupt(controller: FlashF4) -> None:
    erase_sector(controller, 0)
    assert controller.read(f4.SR) == 0
    erase_sector(controller, 0, extra=st.CR_EOPIE)
    assert controller.read(f4.SR) == st.SR_EOP


@pytest.mark.parametrize("sector", [0, 3, 4, 5, 11])
def test_erasing_a_sector_leaves_its_neighbours(controller: FlashF4, cells: bytearray, sector: int) -> None:
    cells[:] = bytes(FLASH_BYTES)
    erase_sector(controller, sector)
    erased = sector_range(sector)
    assert cells[erased.start : erased.stop] == b"\xff" * len(erased)
    assert cells.count(0) == FLASH_BYTES - len(erased)


def test_a_sector_that_does_not_exist_is_not_erased(controller: FlashF4, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    erase_sector(controller, 12)
    assert cells.count(0) == FLASH_BYTES
    assert controller.read(f4.SR) == f4.SR_PGSERR


def test_a_mass_erase_takes_everything(controller: FlashF4, array: FlashArray, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    controller.write(f4.CR, f4.CR_MER | f4.CR_STRT)
    assert cells.count(0xFF) == FLASH_BYTES
    assert array.erased_sectors == 12


def test_start_while_programming_is_enabled_erases_nothing(controller: FlashF4, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    controller.write(f4.CR, f4.CR_MER | st.CR_PG | f4.CR_STRT)
    assert cells.count(0) == FLASH_BYTES
    assert controller.read(f4.SR) == f4.SR_PGSERR


def test_a_failing_cell_fails_once(controller: FlashF4, array: FlashArray, cells: bytearray) -> None:
    array.flips.append(BitFlip(offset=0x102, bit=7))
    controller.write(f4.CR, st.CR_PG | X32)
    controller.program(0x100, WORD)
    assert cells[0x100:0x104].hex() == "7856b412"
    controller.program(0x104, WORD)
    assert cells[0x104:0x108] == WORD
    assert array.flips == []


def test_a_bad_sector_is_neither_erased_nor_programmed_and_says_so(
    controller: FlashF4, array: FlashArray, cells: bytearray
) -> None:
    array.bad_sectors.append(controller.sector_at(0x5000))
    erase_sector(controller, 1)
    assert controller.read(f4.SR) == st.SR_WRPERR
    controller.write(f4.SR, st.SR_WRPERR)
    controller.write(f4.CR, st.CR_PG | X32)
    controller.program(0x4000, WORD)
    assert controller.read(f4.SR) == st.SR_WRPERR
    assert cells[0x4000:0x4004] == b"\xff" * 4
