"""Boards in simulators with their UARTs joined, with the real compiler, QEMU and unicorn."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from benchwire.agent import sandbox as sandboxes
from benchwire.agent.tools.compiler import build
from benchwire.agent.tools.printed import Printed
from benchwire.agent.tools.simulator import Outcome, Seat, Simulation, together
from benchwire.boards import profile as profiles

HEAR = """#include "board.h"
static char line[32]; static int length;
static int heard(void) { /* whether a line is complete now */
    for (int c; (c = uart_getc_nonblocking()) >= 0;) {
        if (c == '\\n') { line[length] = 0; length = 0; return 1; }
        if (c > ' ' && length < 31) line[length++] = (char)c;
    }
    return 0;
}
"""
PING = (
    HEAR
    + """int main(void) {
    board_init();
    for (;;) { /* until it is answered: the other board may boot later */
        uart_puts("PING\\r\\n");
        for (int i = 0; i < 50; i++) {
            delay_ms(5);
            if (heard() && line[0] == 'P' && line[1] == 'O') { uart_puts("GOT PONG\\r\\n"); for (;;) delay_ms(50); }
        }
    }
}
"""
)
PONG = (
    HEAR
    + """int main(void) {
    board_init();
    for (;;) if (heard() && line[0] == 'P' && line[1] == 'I') uart_puts("PONG\\r\\n");
}
"""
)
FLOOD = """#include "board.h"
int main(void) {
    board_init();
    uart_puts("HERE\\r\\n");
    while (uart_getc_nonblocking() < 0) {} /* the other board has booted, too */
    for (;;) uart_puts("spam and eggs\\r\\n");
}
"""
DEAF = '#include "board.h"\nint main(void) { board_init(); uart_puts("BOOT\\r\\n"); for (;;) delay_ms(10); }'
CRASH = '#include "board.h"\nint main(void) { board_init(); uart_puts("BOOT\\r\\n"); delay_ms(5); __builtin_trap(); }'


def shows(text: str) -> Callable[[Printed], bool]:
    return lambda printed: text in printed.text


async def run(
    tmp_path: Path, firmwares: Mapping[str, tuple[str, str]], *, timeout_s: float = 30.0, max_bytes: int = 20_000
) -> list[Simulation]:
    """Joins two boards: by profile, what each runs and has to show."""
    sandbox, seats = await sandboxes.detect(), []
    for place, (name, (source, text)) in enumerate(firmwares.items()):
        profile = profiles.load(name)
        lacking = profiles.missing(profile)
        if lacking:
            pytest.skip("; ".join(map(str, lacking)))
        workdir = tmp_path / name
        workdir.mkdir()
        made = await build(profile, {"main.c": source}, workdir, sandbox, timeout_s=60.0)
        assert made.image is not None, made.diagnostics
        seats.append(Seat(profile=profile, image=made.image, workdir=workdir, until=shows(text), joined=(1 - place,)))
    return await together(seats, sandbox, timeout_s=timeout_s, max_bytes=max_bytes)


@pytest.mark.parametrize("names", [("stm32f405", "stm32f103"), ("nrf51822", "esp32c3"), ("stm32l475", "stm32f405")])
async def test_what_one_board_sends_the_other_receives_whatever_simulates_them(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    ping, pong = await run(tmp_path, {names[0]: (PING, "GOT PONG"), names[1]: (PONG, "PONG")})
    assert (ping.outcome, pong.outcome) == (Outcome.PASSED, Outcome.PASSED)
    assert ping.output.endswith("PING\r\nGOT PONG\r\n")
    assert pong.output.endswith("PONG\r\n")
    assert "PING" not in pong.output


async def test_a_board_that_floods_one_that_does_not_listen_ends_at_its_cap(tmp_path: Path) -> None:
    firmwares = {"stm32f405": (FLOOD, "never"), "stm32f103": (DEAF, "never")}
    flooding, deaf = await run(tmp_path, firmwares, max_bytes=300_000)
    assert flooding.outcome is Outcome.FLOODED
    assert len(flooding.output) == 300_000
    assert (deaf.outcome, deaf.output) == (Outcome.TIMEOUT, "BOOT\r\n")
    assert "bytes for this board were lost" in deaf.simulator_error


async def test_a_board_that_crashes_ends_the_run_of_both(tmp_path: Path) -> None:
    crashed, other = await run(tmp_path, {"stm32f405": (CRASH, "never"), "stm32f103": (DEAF, "never")}, timeout_s=300)
    assert crashed.outcome is Outcome.CRASHED
    assert other.outcome is Outcome.TIMEOUT
    assert other.duration_s < 300  # not for all of its time


async def test_without_a_simulator_for_one_of_them_none_is_started(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(bytes(64))
    seats = [
        Seat(profile=profiles.load(name), image=tmp_path / "image", workdir=tmp_path, until=shows("x"))
        for name in ("stm32f405", "esp32")
    ]
    first, second = await together(seats, await sandboxes.detect(), timeout_s=1.0, max_bytes=100)
    assert (first.outcome, second.outcome) == (Outcome.REFUSED, Outcome.REFUSED)
    assert "cannot be simulated: no simulator runs firmware for esp32 honestly" in first.simulator_error
