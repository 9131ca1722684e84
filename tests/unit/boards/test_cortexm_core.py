"""Code that a debugger loads into RAM, on the CPU of a virtual Cortex-M chip."""

import mmap
import struct
from collections.abc import Iterator

import pytest

from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.cortexm.chips import CHIPS
from benchwire.boards.virtual.cortexm.core import REGISTER_PC, REGISTER_XPSR, XPSR_THUMB, Core, Stop
from benchwire.boards.virtual.cortexm.description import Description
from benchwire.boards.virtual.cortexm.flash import f4, st
from benchwire.boards.virtual.cortexm.flash.f4 import FlashF4
from benchwire.boards.virtual.flash_array import FlashArray

F405 = CHIPS["stm32f405"]
FLASH_BASE, FLASH_BYTES, SRAM_BASE = 0x0800_0000, 1024 * 1024, 0x2000_0000
STORE_WORD = 0x6001  # str r1, [r0]
LOAD_WORD = 0x6802  # ldr r2, [r0]
COUNT_DOWN = (0x3801, 0xD1FD)  # subs r0, #1; bne to itself
BREAKPOINT = 0xBE00
CONTROLLER = 0x4002_3C00


@pytest.fixture
def cells() -> Iterator[mmap.mmap]:
    with mmap.mmap(-1, FLASH_BYTES) as memory:
        memory[:] = b"\xff" * FLASH_BYTES
        yield memory


@pytest.fixture
def controller(array: FlashArray) -> FlashF4:
    made = FlashF4(array)
    made.write(f4.KEYR, st.KEY1)
    made.write(f4.KEYR, st.KEY2)
    made.write(f4.CR, st.CR_PG | 2 << f4.CR_PSIZE_SHIFT)
    return made


@pytest.fixture
def core(cells: mmap.mmap, array: FlashArray, controller: FlashF4) -> Iterator[Core]:
    with memoryview(cells) as view:
        made = Core(F405, view, array, controller, b"")
        made.reset(clear_ram=True)
        yield made
        made.release()


def load(core: Core, *instructions: int, r0: int = 0, r1: int = 0) -> None:
    core.write(SRAM_BASE, struct.pack(f"<{len(instructions)}H", *instructions))
    for number, value in ((0, r0), (1, r1), (REGISTER_PC, SRAM_BASE), (REGISTER_XPSR, XPSR_THUMB)):
        core.write_register(number, value)
    core.prepare()


def test_a_store_to_flash_obeys_the_controller(core: Core, cells: mmap.mmap) -> None:
    for word in (0x12345678, 0xFF00FF00):
        load(core, STORE_WORD, BREAKPOINT, r0=FLASH_BASE + 0x100, r1=word)
        assert core.run(1000).stop is Stop.BREAKPOINT
    assert int.from_bytes(cells[0x100:0x104], "little") == 0x12345678 & 0xFF00FF00


def test_a_store_to_locked_flash_changes_nothing(core: Core, controller: FlashF4, cells: mmap.mmap) -> None:
    controller.write(f4.CR, f4.CR_LOCK)
    load(core, STORE_WORD, BREAKPOINT, r0=FLASH_BASE + 0x100, r1=0)
    assert core.run(1000).stop is Stop.BREAKPOINT
    assert cells[0x100:0x104] == b"\xff" * 4
    assert controller.read(f4.SR) == f4.SR_PGSERR


def test_flash_shows_at_zero_as_well(core: Core, cells: mmap.mmap) -> None:
    cells[0x40:0x44] = b"abcd"
    load(core, LOAD_WORD, BREAKPOINT, r0=0x40)
    core.run(1000)
    assert core.read_register(2).to_bytes(4, "little") == b"abcd"


def test_code_reaches_the_registers_of_the_controller(core: Core) -> None:
    load(core, LOAD_WORD, BREAKPOINT, r0=CONTROLLER + f4.CR)
    core.run(1000)
    assert core.read_register(2) == st.CR_PG | 2 << f4.CR_PSIZE_SHIFT


def test_a_breakpoint_stops_at_its_own_address(core: Core) -> None:
    load(core, STORE_WORD, BREAKPOINT, r0=SRAM_BASE + 0x100)
    core.run(1000)
    assert core.read_register(REGISTER_PC) == SRAM_BASE + 2


def test_a_long_run_goes_on_in_slices(core: Core) -> None:
    load(core, *COUNT_DOWN, BREAKPOINT, r0=1000)
    stops: list[Stop] = []
    while not stops or stops[-1] is Stop.SPENT:
        stops.append(core.run(300).stop)
    assert stops[-1] is Stop.BREAKPOINT
    assert len(stops) == 7  # 2000 instructions and the breakpoint
    assert core.read_register(0) == 0


def test_an_access_to_nowhere_is_a_fault_that_names_the_place(core: Core) -> None:
    load(core, STORE_WORD, BREAKPOINT, r0=0x3000_0000)
    result = core.run(1000)
    assert result.stop is Stop.FAULT
    assert f"{SRAM_BASE:#010x}" in result.fault


def test_the_debugger_cannot_write_where_there_is_no_ram(core: Core) -> None:
    for address in (FLASH_BASE, 0x1FFF_7A10, 0x3000_0000):
        with pytest.raises(BusFault):
            core.write(address, b"1234")


def test_after_a_reset_the_core_stands_at_the_reset_vector(core: Core, cells: mmap.mmap) -> None:
    cells[:8] = struct.pack("<II", 0x2001_0000, 0x0800_0101)
    core.reset(clear_ram=False)
    assert core.read_register(REGISTER_PC) == 0x0800_0100
    assert core.read_register(13) == 0x2001_0000
    assert core.read_register(REGISTER_XPSR) & XPSR_THUMB


@pytest.fixture(params=list(CHIPS.values()), ids=list(CHIPS))
def any_chip(request: pytest.FixtureRequest) -> Description:
    chip: Description = request.param
    return chip


def test_code_of_each_chip_runs_in_its_own_memory_and_reads_what_the_factory_wrote(any_chip: Description) -> None:
    with mmap.mmap(-1, any_chip.flash_bytes) as flash, memoryview(flash) as view:
        array = FlashArray(flash)
        core = Core(any_chip, view, array, any_chip.controller(array), any_chip.factory_bytes("b1"))
        core.reset(clear_ram=True)
        load(core, LOAD_WORD, BREAKPOINT, r0=any_chip.factory.base + 0x10)
        assert core.run(1000).stop is Stop.BREAKPOINT
        assert core.read_register(2) == int.from_bytes(any_chip.factory_bytes("b1")[0x10:0x14], "little")
        core.release()


def test_the_unique_id_follows_from_the_boards_name(any_chip: Description) -> None:
    assert any_chip.factory_bytes("b1") == any_chip.factory_bytes("b1") != any_chip.factory_bytes("b2")


def test_an_algorithm_finds_the_id_of_its_chip(core: Core) -> None:
    load(core, LOAD_WORD, BREAKPOINT, r0=0xE004_2000)
    core.run(1000)
    assert core.read_register(2) & 0xFFF == 0x413


def test_a_store_that_the_controller_answers_with_a_fault_stops_the_core() -> None:
    chip = CHIPS["nrf51822"]
    with mmap.mmap(-1, chip.flash_bytes) as flash, memoryview(flash) as view:
        array = FlashArray(flash)
        core = Core(chip, view, array, chip.controller(array), b"")
        load(core, STORE_WORD, BREAKPOINT, r0=0x100, r1=0)
        assert core.run(1000).stop is Stop.FAULT
        core.release()
