"""The rules of the STM32F1's flash controller, without a CPU."""

import pytest

from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.cortexm.flash import f1, st
from benchwire.boards.virtual.cortexm.flash.f1 import PAGE_BYTES, FlashF1
from benchwire.boards.virtual.flash_array import FlashArray

FLASH_BYTES = 64 * 1024


@pytest.fixture
def locked(array: FlashArray) -> FlashF1:
    return FlashF1(array)


@pytest.fixture
def controller(locked: FlashF1) -> FlashF1:
    locked.write(f1.KEYR, st.KEY1)
    locked.write(f1.KEYR, st.KEY2)
    return locked


def erase_page(controller: FlashF1, offset: int) -> None:
    controller.write(f1.CR, f1.CR_PER)
    controller.write(f1.AR, st.FLASH_BASE + offset)
    controller.write(f1.CR, f1.CR_PER | f1.CR_STRT)


def test_it_is_locked_until_both_keys_came_in_order(locked: FlashF1, cells: bytearray) -> None:
    locked.write(f1.KEYR, st.KEY2)
    locked.write(f1.KEYR, st.KEY1)
    locked.write(f1.KEYR, st.KEY2)
    locked.write(f1.CR, st.CR_PG)
    locked.program(0, b"\x00\x00")
    assert locked.read(f1.CR) == f1.CR_LOCK
    assert cells[:2] == b"\xff\xff"


def test_a_half_word_is_programmed_and_the_end_of_it_is_told(controller: FlashF1, cells: bytearray) -> None:
    controller.write(f1.CR, st.CR_PG)
    controller.program(2, b"\x34\x12")
    assert cells[:6] == b"\xff\xff\x34\x12\xff\xff"
    assert controller.read(f1.SR) == f1.SR_EOP
    controller.write(f1.SR, f1.SR_EOP)
    assert controller.read(f1.SR) == 0


@pytest.mark.parametrize(("offset", "size"), [(0, 1), (0, 4), (1, 2)])
def test_anything_but_an_aligned_half_word_is_a_fault(controller: FlashF1, offset: int, size: int) -> None:
    controller.write(f1.CR, st.CR_PG)
    with pytest.raises(BusFault, match="half-words"):
        controller.program(offset, bytes(size))


def test_a_programmed_half_word_can_only_be_zeroed(controller: FlashF1, cells: bytearray) -> None:
    controller.write(f1.CR, st.CR_PG)
    controller.program(0, b"\xff\x7f")
    controller.write(f1.SR, f1.SR_EOP)
    controller.program(0, b"\xff\x3f")
    assert controller.read(f1.SR) == f1.SR_PGERR
    assert cells[:2] == b"\xff\x7f"
    controller.program(0, b"\x00\x00")
    assert cells[:2] == b"\x00\x00"


def test_a_page_is_erased_by_any_address_in_it(controller: FlashF1, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    erase_page(controller, PAGE_BYTES + 6)
    assert cells[PAGE_BYTES : 2 * PAGE_BYTES] == b"\xff" * PAGE_BYTES
    assert cells.count(0) == FLASH_BYTES - PAGE_BYTES


def test_an_address_outside_of_flash_erases_nothing(controller: FlashF1, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    erase_page(controller, FLASH_BYTES)
    assert cells.count(0) == FLASH_BYTES


def test_a_mass_erase_takes_everything(controller: FlashF1, array: FlashArray, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    controller.write(f1.CR, f1.CR_MER)
    controller.write(f1.CR, f1.CR_MER | f1.CR_STRT)
    assert cells.count(0xFF) == FLASH_BYTES
    assert array.erased_sectors == 32


def test_a_bad_page_behaves_as_a_protected_one(controller: FlashF1, array: FlashArray, cells: bytearray) -> None:
    array.bad_sectors.append(controller.sector_at(PAGE_BYTES + 100))
    erase_page(controller, PAGE_BYTES)
    assert controller.read(f1.SR) == f1.SR_WRPRTERR
    controller.write(f1.SR, f1.SR_WRPRTERR)
    controller.write(f1.CR, st.CR_PG)
    controller.program(PAGE_BYTES, b"\x00\x00")
    assert controller.read(f1.SR) == f1.SR_WRPRTERR
    assert cells.count(0) == 0
