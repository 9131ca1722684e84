"""What a debugger finds and orders on a virtual Cortex-M chip's debug registers."""

import pytest

from benchwire.boards.virtual.cortexm import debug
from benchwire.boards.virtual.cortexm.chips import CHIPS
from benchwire.boards.virtual.cortexm.cpus import AIRCR, CPUID, ROM_TABLE
from benchwire.boards.virtual.cortexm.debug import CoreState, DebugRegisters, Order

IDCODE = 0xE004_2000

ENABLE = debug.DBGKEY | debug.C_DEBUGEN


class Registers:
    """Twenty plain registers."""

    def __init__(self) -> None:
        self.values = dict.fromkeys(range(20), 0)

    def read_register(self, number: int) -> int:
        return self.values[number]

    def write_register(self, number: int, value: int) -> None:
        self.values[number] = value


def registers(state: CoreState, chip: str = "stm32f405") -> DebugRegisters:
    made = DebugRegisters(Registers(), CHIPS[chip])
    made.state = state
    return made


def test_a_write_without_the_key_orders_nothing() -> None:
    assert registers(CoreState.APP).write(debug.DHCSR, debug.C_DEBUGEN | debug.C_HALT) is None


def test_halt_and_resume_are_ordered_once() -> None:
    unit = registers(CoreState.APP)
    assert unit.write(debug.DHCSR, ENABLE) is None
    assert unit.write(debug.DHCSR, ENABLE | debug.C_HALT) is Order.HALT
    unit.state = CoreState.HALTED
    assert unit.write(debug.DHCSR, ENABLE | debug.C_HALT) is None
    assert unit.write(debug.DHCSR, ENABLE) is Order.RESUME


def test_a_halted_core_runs_on_when_debug_is_disabled() -> None:
    assert registers(CoreState.HALTED).write(debug.DHCSR, debug.DBGKEY) is Order.RESUME


def test_a_halted_core_shows_the_halt_as_ordered_whatever_halted_it() -> None:
    assert registers(CoreState.HALTED).read(debug.DHCSR) & (debug.S_HALT | debug.C_HALT) == debug.S_HALT | debug.C_HALT


def test_a_reset_needs_its_key() -> None:
    unit = registers(CoreState.APP)
    assert unit.write(AIRCR, debug.SYSRESETREQ) is None
    assert unit.write(AIRCR, debug.VECTKEY | debug.SYSRESETREQ) is Order.RESET


def test_a_reset_shows_once_in_the_status() -> None:
    unit = registers(CoreState.APP)
    unit.system_reset()
    assert unit.read(debug.DHCSR) & debug.S_RESET_ST
    assert not unit.read(debug.DHCSR) & debug.S_RESET_ST


def test_vector_catch_survives_a_system_reset_but_not_the_power() -> None:
    unit = registers(CoreState.APP)
    unit.write(debug.DHCSR, ENABLE)
    unit.write(debug.DEMCR, debug.VC_CORERESET)
    unit.system_reset()
    assert unit.catches_reset
    unit.power_on()
    assert not unit.catches_reset


def test_core_registers_answer_only_while_halted() -> None:
    unit = registers(CoreState.HALTED)
    unit.write(debug.DCRDR, 0x2000_0000)
    unit.write(debug.DCRSR, debug.REGWNR | 13)
    unit.write(debug.DCRDR, 0)
    unit.write(debug.DCRSR, 13)
    assert unit.read(debug.DCRDR) == 0x2000_0000
    unit.state = CoreState.APP
    unit.write(debug.DCRDR, 7)
    unit.write(debug.DCRSR, 13)
    assert unit.read(debug.DCRDR) == 7


@pytest.mark.parametrize(
    ("chip", "core", "device_id"),
    [("stm32f405", 0xC24, 0x413), ("stm32f103", 0xC23, 0x414), ("stm32l475", 0xC24, 0x415)],
)
def test_each_stm32_says_which_one_it_is(chip: str, core: int, device_id: int) -> None:
    unit = registers(CoreState.APP, chip)
    assert unit.read(CPUID) >> 4 & 0xFFF == core
    assert unit.read(IDCODE) & 0xFFF == device_id
    unit.write(IDCODE, 0)
    assert unit.read(IDCODE) & 0xFFF == device_id


def test_an_nrf51_has_no_idcode_and_a_table_of_nordic_before_arms() -> None:
    unit = registers(CoreState.APP, "nrf51822")
    assert (unit.read(CPUID) >> 4 & 0xFFF, unit.read(IDCODE)) == (0xC20, 0)
    base = unit.identity.debug_base
    assert (base + unit.read(base) & 0xFFFF_F000) == ROM_TABLE
    assert unit.read(base + 4) == 0


def test_a_chip_that_poses_as_another_answers_with_its_ids() -> None:
    unit = registers(CoreState.APP)
    unit.identity = CHIPS["stm32f103"]
    assert unit.read(IDCODE) & 0xFFF == 0x414


def test_the_rom_table_carries_st_s_identification() -> None:
    unit = registers(CoreState.APP)
    component = [unit.read(ROM_TABLE + offset) for offset in range(0xFF0, 0x1000, 4)]
    peripheral = [unit.read(ROM_TABLE + offset) for offset in range(0xFE0, 0xFF0, 4)]
    assert component == [0x0D, 0x10, 0x05, 0xB1]
    assert int.from_bytes(bytes(peripheral), "little") == 0xA_0413
