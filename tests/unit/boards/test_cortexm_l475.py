"""The model that runs the firmware of a virtual STM32L475: its peripherals, and code on its core."""

import struct
import time

import pytest

from benchwire.boards.virtual.cortexm.l475 import peripherals as l475
from benchwire.boards.virtual.cortexm.l475.machine import L475
from benchwire.boards.virtual.cortexm.l475.peripherals import RCC, SYSTEM, USART1, Clocks, Peripherals, SysTick, Usart
from benchwire.boards.virtual.emulated import Emulation, Ending

WAIT_FOR_INTERRUPT, JUMP_TO_SELF, UNDEFINED, STORE_BYTE = 0xBF30, 0xE7FE, 0xDE00, 0x7001
FLASH_BASE, STACK = 0x0800_0000, 0x2000_1000
CODE = 0x40


def clocked() -> Clocks:
    clocks = Clocks()
    clocks.write(l475.RCC_APB2ENR, l475.USART1_CLOCKED)
    clocks.write(l475.RCC_CCIPR, 2)
    return clocks


def open_port() -> Usart:
    port = Usart(clocked())
    port.write(l475.BRR, 139)
    port.write(l475.CR1, l475.CR1_UE | l475.CR1_TE | l475.CR1_RE)
    return port


def image(*code: int, handler: int = 0, stack: int = STACK) -> bytes:
    """A vector table with its code at 0x40; `handler` is HardFault's."""
    vectors = struct.pack("<4I", stack, FLASH_BASE + CODE | 1, 0, handler)
    return vectors.ljust(CODE, b"\0") + struct.pack(f"<{len(code)}H", *code)


def run(firmware: bytes) -> Ending:
    emulation = Emulation(lambda wait: L475(firmware, wait), send=lambda _: None)
    return emulation.run()


def test_the_core_starts_on_msi_and_moves_to_hsi16_when_told() -> None:
    clocks = Clocks()
    assert clocks.system_hz == 4_000_000
    assert clocks.read(l475.RCC_CR) & 1 << 1
    clocks.write(l475.RCC_CR, 1 << 0 | 1 << 8)
    assert clocks.read(l475.RCC_CR) & 1 << 10
    clocks.write(l475.RCC_CFGR, 1)
    assert clocks.read(l475.RCC_CFGR) & 0xC == 0x4
    assert clocks.system_hz == 16_000_000


def test_the_pll_never_gets_ready_and_is_not_switched_to() -> None:
    clocks = Clocks()
    clocks.write(l475.RCC_CR, 1 | 1 << 24)
    assert not clocks.read(l475.RCC_CR) & 1 << 25
    clocks.write(l475.RCC_CFGR, 3)
    assert clocks.read(l475.RCC_CFGR) & 0xC == 0


def test_a_port_without_its_clock_is_dead() -> None:
    port = Usart(Clocks())
    port.write(l475.CR1, l475.CR1_UE | l475.CR1_TE)
    port.write(l475.TDR, 0x41)
    assert (port.read(l475.ISR), port.take_sent()) == (0, b"")


def test_what_is_written_goes_out_and_what_arrives_is_read_once() -> None:
    port = open_port()
    port.write(l475.TDR, 0x41)
    assert port.take_sent() == b"A"
    assert not port.read(l475.ISR) & l475.ISR_RXNE
    port.feed(b"xy")
    assert port.read(l475.ISR) & l475.ISR_RXNE
    assert [port.read(l475.RDR), port.read(l475.RDR)] == [ord("x"), ord("y")]
    assert not port.read(l475.ISR) & l475.ISR_RXNE


def test_a_byte_written_without_room_is_lost_and_counted() -> None:
    port = open_port()
    while port.read(l475.ISR) & l475.ISR_TXE:
        port.write(l475.TDR, 0x41)
    port.write(l475.BRR, 0xFFFF)  # from here on nothing leaves for a long time
    port.write(l475.TDR, 0x42)
    assert port.lost_bytes == 1
    assert b"B" not in port.take_sent()


def test_systick_flags_each_turn_once() -> None:
    timer = SysTick(Clocks())
    timer.write(l475.SYST_RVR, 3999)
    timer.write(l475.SYST_CSR, l475.CSR_ENABLE | l475.CSR_CLKSOURCE)
    deadline = time.monotonic() + 30
    while not timer.read(l475.SYST_CSR) & l475.CSR_COUNTFLAG:  # a millisecond at 4 MHz
        assert time.monotonic() < deadline
    assert timer.read(l475.SYST_CVR) <= 3999
    timer.write(l475.SYST_RVR, 0xFF_FFFF)
    timer.write(l475.SYST_CVR, 0)
    assert not timer.read(l475.SYST_CSR) & l475.CSR_COUNTFLAG


@pytest.mark.parametrize("address", [USART1 + l475.ISR, SYSTEM + l475.SYST_CSR, RCC])
def test_a_program_that_polls_lets_its_host_rest(address: int) -> None:
    waits: list[None] = []
    registers = Peripherals(lambda: waits.append(None))
    registers.write(RCC + l475.RCC_APB2ENR, l475.USART1_CLOCKED)
    for _ in range(100):
        registers.read(address)
    assert len(waits) > 10


def test_an_endless_loop_is_a_halt_and_a_sleep_is_not() -> None:
    ending = run(image(WAIT_FOR_INTERRUPT, WAIT_FOR_INTERRUPT, JUMP_TO_SELF))
    assert ending.kind == "halted"
    assert f"{FLASH_BASE + CODE + 4:#010x}" in ending.reason


def test_a_fault_enters_the_handler_of_the_firmware() -> None:
    handler = FLASH_BASE + CODE + 2 | 1
    ending = run(image(UNDEFINED, JUMP_TO_SELF, handler=handler))
    assert ending.kind == "halted"  # in the handler's endless loop


def test_a_fault_in_the_handler_is_a_lockup_that_names_both() -> None:
    ending = run(image(UNDEFINED, UNDEFINED, handler=FLASH_BASE + CODE + 2 | 1))
    assert ending.kind == "crashed"
    assert ending.reason.startswith("Lockup: undefined instruction")
    assert f"{FLASH_BASE + CODE:#010x}" in ending.reason


@pytest.mark.parametrize("firmware", [bytes(1024), b"\xff" * 1024, image(UNDEFINED, stack=0x3000_0000)])
def test_an_image_that_is_none_locks_up(firmware: bytes) -> None:
    assert run(firmware).kind == "crashed"


def test_a_store_into_flash_is_a_fault_and_changes_nothing() -> None:
    ending = run(image(STORE_BYTE, JUMP_TO_SELF))  # strb r1, [r0], and r0 is 0
    assert ending.kind == "crashed"
    assert "data bus error" in ending.reason
