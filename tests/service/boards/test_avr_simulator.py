"""simavr's library as the simulator of AVR boards. What firmware from the compiler does in it stands with the agent's builds."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchwire.boards import profile as profiles
from benchwire.boards.virtual.avr import simavr
from benchwire.boards.virtual.avr.machine import FREQUENCY_HZ, Atmega
from benchwire.boards.virtual.avr.simavr import Core, SimavrUnusable
from benchwire.events import child

UNO = profiles.load("arduino_uno")
MISSING = [str(one) for one in profiles.missing(UNO) if one.package == "simavr"]

pytestmark = pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING))

SIMULATE = [sys.executable, "-m", "benchwire.boards.virtual.avr.simulate"]
MOST_TURNS = 10_000  # of a millisecond at most

# Opcodes, AVR instruction set manual.
CLI, SLEEP, FOR_EVER = 0x94F8, 0x9588, 0xCFFF
UART_ON = (0xE118, 0x9310, 0x00C1)  # ldi r17, RXEN0 | TXEN0; sts UCSR0B, r17
SAY_A = (0xE401, 0x9300, 0x00C6)  # ldi r16, 'A'; sts UDR0, r16
BEYOND_RAM = (0x9300, 0x0900)  # sts 0x900, r16
ECHO = (
    0x9120,
    0x00C0,
    0xFF27,
    0xCFFC,
    0x9100,
    0x00C6,
    0x9300,
    0x00C6,
    0xCFF7,
)  # wait for RXC0 in UCSR0A, then UDR0 = UDR0, and again


def program(*words: int) -> bytes:
    return b"".join(word.to_bytes(2, "little") for word in words)


def machine(image: bytes, wait: Callable[[], None] = lambda: None) -> Atmega:
    return Atmega("atmega328p", image, wait)


def test_what_the_firmware_sends_is_heard_byte_by_byte_and_it_comes_to_rest() -> None:
    board = machine(program(*UART_ON, *SAY_A, CLI, SLEEP))
    for _ in range(MOST_TURNS):
        if (ending := board.run_slice()) is not None:
            break
    assert ending is not None
    assert (ending.kind, board.uart.take_sent()) == ("halted", b"A")
    assert "sleeps with interrupts off" in ending.reason


def test_what_arrives_is_received_even_when_it_is_more_than_the_uart_holds() -> None:
    board = machine(program(*UART_ON, *ECHO), wait=lambda: time.sleep(0.001))
    sent, heard = bytes(range(1, 201)), b""
    board.run_slice()  # before that its receiver is off, and what arrives is lost
    board.uart.feed(sent)
    for _ in range(MOST_TURNS):
        board.run_slice()
        heard += board.uart.take_sent()
        if len(heard) >= len(sent):
            break
    assert heard == sent


def test_an_access_beyond_ram_is_a_crash() -> None:
    board = machine(program(*BEYOND_RAM, FOR_EVER))
    for _ in range(MOST_TURNS):
        if (ending := board.run_slice()) is not None:
            break
    assert ending is not None
    assert (ending.kind, ending.reason.split(":")[0]) == ("crashed", "simavr")


def test_the_chip_is_no_faster_than_its_crystal() -> None:
    began_s, board = time.monotonic(), machine(program(FOR_EVER), wait=lambda: time.sleep(0.001))
    while board._core.cycles < FREQUENCY_HZ // 10:
        assert board.run_slice() is None
    assert time.monotonic() - began_s >= 0.09


def test_a_chip_that_it_does_not_have_and_an_image_that_does_not_fit_are_refused() -> None:
    with pytest.raises(SimavrUnusable, match="simavr has no chip atmega0"):
        Core("atmega0", b"", frequency_hz=1, send=print)
    with pytest.raises(SimavrUnusable, match="32769 bytes don't fit in 32768"):
        Core("atmega328p", bytes(32769), frequency_hz=1, send=print)


def test_a_library_whose_state_lies_elsewhere_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new library says 1 MHz at first as well, but not at the place where this one is looked for."""
    monkeypatch.setattr(simavr, "_FREQUENCY_AT_FIRST_HZ", 2_000_000)
    with pytest.raises(SimavrUnusable, match=r"keeps its state in another way than that of simavr 1\.6"):
        Core("atmega328p", b"", frequency_hz=1, send=print)


@pytest.mark.parametrize(
    ("image", "arguments", "code", "said"),
    [
        (None, [], 66, "can't load"),
        (bytes(40_000), [], 65, "40000 bytes don't fit in 32768"),
        (program(FOR_EVER) + bytes(40_000), ["--mcu", "atmega2560", "--timeout-s", "0.2"], 0, "the time is over"),
        (program(*BEYOND_RAM, FOR_EVER), [], 134, "accessed memory that is not there"),
    ],
)
def test_the_command_ends_with_the_code_and_the_words_of_all_simulators(
    tmp_path: Path, image: bytes | None, arguments: list[str], code: int, said: str
) -> None:
    path = tmp_path / "firmware.bin"
    if image is not None:
        path.write_bytes(image)
    ended = subprocess.run(
        child.dying_with_owner([*SIMULATE, str(path), *arguments]), capture_output=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (code, b"")
    assert said in ended.stderr.decode()
