"""What a debugger finds and orders on the virtual STM32's debug registers."""

from benchwire.boards.virtual.stm32 import debug
from benchwire.boards.virtual.stm32.debug import CoreState, DebugRegisters, Order

ENABLE = debug.DBGKEY | debug.C_DEBUGEN


class Registers:
    """Twenty plain registers."""

    def __init__(self) -> None:
        self.values = dict.fromkeys(range(20), 0)

    def read_register(self, number: int) -> int:
        return self.values[number]

    def write_register(self, number: int, value: int) -> None:
        self.values[number] = value


def registers(state: CoreState) -> DebugRegisters:
    made = DebugRegisters(Registers())
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
    assert unit.write(debug.AIRCR, debug.SYSRESETREQ) is None
    assert unit.write(debug.AIRCR, debug.VECTKEY | debug.SYSRESETREQ) is Order.RESET


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


def test_the_chip_says_that_it_is_an_stm32f405() -> None:
    unit = registers(CoreState.APP)
    assert unit.read(debug.DBGMCU_IDCODE) & 0xFFF == 0x413
    unit.write(debug.DBGMCU_IDCODE, 0)
    assert unit.read(debug.DBGMCU_IDCODE) & 0xFFF == 0x413


def test_the_rom_table_carries_st_s_identification() -> None:
    unit = registers(CoreState.APP)
    component = [unit.read(debug.ROM_TABLE + offset) for offset in range(0xFF0, 0x1000, 4)]
    peripheral = [unit.read(debug.ROM_TABLE + offset) for offset in range(0xFE0, 0xFF0, 4)]
    assert component == [0x0D, 0x10, 0x05, 0xB1]
    assert int.from_bytes(bytes(peripheral), "little") == 0xA_0413
