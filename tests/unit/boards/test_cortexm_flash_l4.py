"""The rules of the STM32L4's flash controller, without a CPU."""

import pytest

from benchwire.boards.virtual.cortexm.flash import l4, st
from benchwire.boards.virtual.cortexm.flash.l4 import PAGE_BYTES, FlashL4
from benchwire.boards.virtual.flash_array import BitFlip, FlashArray

FLASH_BYTES = 1024 * 1024
BANK_BYTES = FLASH_BYTES // 2


@pytest.fixture
def locked(array: FlashArray) -> FlashL4:
    return FlashL4(array)


@pytest.fixture
def controller(locked: FlashL4) -> FlashL4:
    locked.write(l4.KEYR, st.KEY1)
    locked.write(l4.KEYR, st.KEY2)
    return locked


def erase_page(controller: FlashL4, page: int, bank: int = 0) -> None:
    control = l4.CR_PER | page << l4.CR_PNB_SHIFT | bank
    controller.write(l4.CR, control)
    controller.write(l4.CR, control | l4.CR_STRT)


def test_it_is_delivered_with_two_banks(controller: FlashL4) -> None:
    assert controller.read(l4.OPTR) & 1 << 21


def test_a_wrong_key_blocks_until_reset(locked: FlashL4) -> None:
    for key in (st.KEY2, st.KEY1, st.KEY2):
        locked.write(l4.KEYR, key)
    assert locked.read(l4.CR) & l4.CR_LOCK
    locked.reset()
    for key in (st.KEY1, st.KEY2):
        locked.write(l4.KEYR, key)
    assert not locked.read(l4.CR) & l4.CR_LOCK


def test_a_double_word_is_programmed_with_its_second_half(controller: FlashL4, cells: bytearray) -> None:
    controller.write(l4.CR, st.CR_PG)
    controller.program(8, b"abcd")
    assert cells[8:16] == b"\xff" * 8
    controller.program(12, b"efgh")
    assert cells[8:16] == b"abcdefgh"
    assert controller.read(l4.SR) == 0


@pytest.mark.parametrize("size", [1, 2, 8])
def test_only_words_are_taken(controller: FlashL4, size: int) -> None:
    controller.write(l4.CR, st.CR_PG)
    controller.program(0, bytes(size))
    assert controller.read(l4.SR) == l4.SR_SIZERR


@pytest.mark.parametrize("offsets", [(4,), (0, 8), (0, 0)])
def test_the_halves_of_a_double_word_come_in_order(
    controller: FlashL4, cells: bytearray, offsets: tuple[int, ...]
) -> None:
    controller.write(l4.CR, st.CR_PG)
    for offset in offsets:
        controller.program(offset, bytes(4))
    assert controller.read(l4.SR) == l4.SR_PGAERR
    assert cells.count(0) == 0


def test_a_programmed_double_word_can_only_be_zeroed(controller: FlashL4, cells: bytearray) -> None:
    controller.write(l4.CR, st.CR_PG)
    for offset, word in ((0, b"abcd"), (4, b"efgh"), (0, b"\x00\x00\x00\x00"), (4, b"efgh")):
        controller.program(offset, word)
    assert controller.read(l4.SR) == l4.SR_PROGERR
    assert cells[:8] == b"abcdefgh"
    controller.write(l4.SR, l4.SR_PROGERR)
    controller.program(0, bytes(4))
    controller.program(4, bytes(4))
    assert cells[:8] == bytes(8)


def test_an_error_that_was_not_cleared_refuses_what_follows(controller: FlashL4, cells: bytearray) -> None:
    controller.write(l4.CR, st.CR_PG)
    controller.program(4, bytes(4))
    controller.program(0, bytes(4))
    assert controller.read(l4.SR) == l4.SR_PGAERR | l4.SR_PGSERR
    controller.write(l4.CR, 0)
    erase_page(controller, 0)
    assert cells.count(0) == 0


def test_a_store_into_locked_flash_changes_nothing(locked: FlashL4, cells: bytearray) -> None:
    locked.write(l4.CR, st.CR_PG)
    locked.program(0, bytes(4))
    assert locked.read(l4.SR) == l4.SR_PGSERR
    assert cells.count(0) == 0


@pytest.mark.parametrize(
    ("page", "bank", "start"),
    [(0, 0, 0), (255, 0, BANK_BYTES - PAGE_BYTES), (3, l4.CR_BKER, BANK_BYTES + 3 * PAGE_BYTES)],
)
def test_a_page_is_named_by_number_and_bank(
    controller: FlashL4, cells: bytearray, page: int, bank: int, start: int
) -> None:
    cells[:] = bytes(FLASH_BYTES)
    erase_page(controller, page, bank)
    assert cells[start : start + PAGE_BYTES] == b"\xff" * PAGE_BYTES
    assert cells.count(0) == FLASH_BYTES - PAGE_BYTES


@pytest.mark.parametrize(("banks", "erased"), [(l4.CR_MER1, BANK_BYTES), (l4.CR_MER1 | l4.CR_MER2, FLASH_BYTES)])
def test_a_mass_erase_takes_the_banks_that_are_named(
    controller: FlashL4, cells: bytearray, banks: int, erased: int
) -> None:
    cells[:] = bytes(FLASH_BYTES)
    controller.write(l4.CR, banks | l4.CR_STRT)
    assert cells.count(0xFF) == erased
    assert cells[:BANK_BYTES] == b"\xff" * BANK_BYTES


def test_start_without_an_order_is_a_sequence_error(controller: FlashL4) -> None:
    controller.write(l4.CR, l4.CR_STRT)
    assert controller.read(l4.SR) == l4.SR_PGSERR


def test_end_of_operation_shows_only_with_its_interrupt(controller: FlashL4) -> None:
    controller.write(l4.CR, l4.CR_PER | st.CR_EOPIE | l4.CR_STRT)
    assert controller.read(l4.SR) == st.SR_EOP


def test_a_bad_page_behaves_as_a_protected_one(controller: FlashL4, array: FlashArray, cells: bytearray) -> None:
    array.bad_sectors.append(controller.sector_at(0))
    erase_page(controller, 0)
    assert controller.read(l4.SR) == st.SR_WRPERR
    controller.write(l4.SR, st.SR_WRPERR)
    controller.write(l4.CR, st.CR_PG)
    controller.program(8, bytes(4))
    controller.program(12, bytes(4))
    assert controller.read(l4.SR) == st.SR_WRPERR
    assert cells.count(0) == 0


def test_a_failing_cell_fails_once(controller: FlashL4, array: FlashArray, cells: bytearray) -> None:
    array.flips.append(BitFlip(offset=5, bit=1))
    controller.write(l4.CR, st.CR_PG)
    controller.program(0, bytes(4))
    controller.program(4, bytes(4))
    assert cells[:8] == bytes([0, 0, 0, 0, 0, 2, 0, 0])
    assert array.flips == []
