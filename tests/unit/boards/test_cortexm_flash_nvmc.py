"""The rules of the nRF51's flash controller, without a CPU."""

import pytest

from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.cortexm.flash import nvmc
from benchwire.boards.virtual.cortexm.flash.nvmc import PAGE_BYTES, UICR_BYTES, FlashNvmc
from benchwire.boards.virtual.flash_array import FlashArray

CODE_BYTES = 64 * 1024
FLASH_BYTES = CODE_BYTES + UICR_BYTES


@pytest.fixture
def controller(array: FlashArray) -> FlashNvmc:
    return FlashNvmc(array)


def test_it_is_always_ready(controller: FlashNvmc) -> None:
    assert controller.read(nvmc.READY) == 1


def test_programming_takes_bits_from_one_to_zero_only(controller: FlashNvmc, cells: bytearray) -> None:
    controller.write(nvmc.CONFIG, nvmc.WRITE_ENABLED)
    controller.program(4, bytes.fromhex("0ff0ffff"))
    controller.program(4, bytes.fromhex("ffff00aa"))
    assert cells[4:8].hex() == "0ff000aa"


@pytest.mark.parametrize("mode", [nvmc.READ_ONLY, nvmc.ERASE_ENABLED])
def test_a_store_that_is_not_enabled_is_a_fault(controller: FlashNvmc, cells: bytearray, mode: int) -> None:
    controller.write(nvmc.CONFIG, mode)
    with pytest.raises(BusFault, match="CONFIG"):
        controller.program(0, bytes(4))
    assert cells.count(0) == 0


@pytest.mark.parametrize(("offset", "size"), [(0, 1), (0, 2), (2, 4)])
def test_only_aligned_words_are_taken(controller: FlashNvmc, offset: int, size: int) -> None:
    controller.write(nvmc.CONFIG, nvmc.WRITE_ENABLED)
    with pytest.raises(BusFault, match="aligned words"):
        controller.program(offset, bytes(size))


def test_a_page_is_erased_by_its_address(controller: FlashNvmc, cells: bytearray) -> None:
    cells[:] = bytes(FLASH_BYTES)
    controller.write(nvmc.CONFIG, nvmc.ERASE_ENABLED)
    controller.write(nvmc.ERASEPAGE, 3 * PAGE_BYTES)
    assert cells[3 * PAGE_BYTES : 4 * PAGE_BYTES] == b"\xff" * PAGE_BYTES
    assert cells.count(0) == FLASH_BYTES - PAGE_BYTES


@pytest.mark.parametrize("mode", [nvmc.READ_ONLY, nvmc.WRITE_ENABLED])
def test_an_erase_that_is_not_enabled_does_nothing(controller: FlashNvmc, cells: bytearray, mode: int) -> None:
    cells[:] = bytes(FLASH_BYTES)
    controller.write(nvmc.CONFIG, mode)
    controller.write(nvmc.ERASEPAGE, 0)
    controller.write(nvmc.ERASEALL, 1)
    assert cells.count(0) == FLASH_BYTES


def test_erasing_all_takes_the_uicr_along_and_the_uicr_goes_alone(controller: FlashNvmc, cells: bytearray) -> None:
    controller.write(nvmc.CONFIG, nvmc.ERASE_ENABLED)
    cells[:] = bytes(FLASH_BYTES)
    controller.write(nvmc.ERASEUICR, 1)
    assert cells.count(0) == CODE_BYTES
    cells[:] = bytes(FLASH_BYTES)
    controller.write(nvmc.ERASEALL, 1)
    assert cells.count(0) == 0


def test_a_bad_page_changes_nothing_and_says_nothing(
    controller: FlashNvmc, array: FlashArray, cells: bytearray
) -> None:
    array.bad_sectors.append(controller.sector_at(PAGE_BYTES + 4))
    controller.write(nvmc.CONFIG, nvmc.WRITE_ENABLED)
    controller.program(PAGE_BYTES, bytes(4))
    assert cells.count(0) == 0
