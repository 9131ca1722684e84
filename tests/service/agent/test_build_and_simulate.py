"""Firmware through the real compilers and simulators, in every sandbox that works here."""

import asyncio
import re
import struct
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

import benchwire.deploy
from benchwire.agent import sandbox as sandboxes
from benchwire.agent.sandbox import Kind, Limits, Sandbox
from benchwire.agent.sandbox.reach import Reach
from benchwire.agent.tools.assertions import Kind as Meant
from benchwire.agent.tools.assertions import judge, satisfied
from benchwire.agent.tools.compiler import Build, build
from benchwire.agent.tools.printed import Printed
from benchwire.agent.tools.simulator import Outcome, Seat, Simulation, simulate, together
from benchwire.boards import profile as profiles
from benchwire.boards import rp2040, uf2
from benchwire.boards.profile import Profile
from benchwire.events.task import Assertion

SCRIPTED = Path(benchwire.deploy.__path__[0]) / "scripted"

HELLO = """
#include "board.h"
int main(void) { board_init(); uart_puts("BOOT " BOARD_NAME "\\r\\n"); uart_put_i32(-42); uart_puts(" "); uart_put_hex(0xBEEF);
    uart_puts("\\r\\n"); for (;;) { delay_ms(10); } }
"""
FLOOD = '#include "board.h"\nint main(void) { board_init(); for (;;) { uart_puts("spam and eggs\\r\\n"); } }'
SILENT = '#include "board.h"\nint main(void) { board_init(); for (;;) { } }'


def main_with(body: str) -> str:
    return f'#include "board.h"\nint main(void) {{ board_init(); uart_puts("BOOT\\r\\n"); {body} for (;;) {{ delay_ms(10); }} }}'


DETECTED: dict[str, Sandbox] = {}


async def detected(choice: str) -> Sandbox:
    """As found once: what was found belongs to no event loop, but for its locks."""
    try:
        if choice not in DETECTED:
            DETECTED[choice] = await sandboxes.detect(choice)
    except sandboxes.SandboxUnavailable as error:
        pytest.skip(str(error))
    return replace(DETECTED[choice], ids=sandboxes.Ids(), reach=Reach())


@pytest.fixture(params=[Kind.BWRAP, Kind.LIMITS])
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await detected(request.param)


@pytest.fixture
async def best() -> Sandbox:
    return await detected("auto")


@pytest.fixture
async def fenced() -> Sandbox:
    return await detected(Kind.BWRAP)


def loaded(name: str) -> Profile:
    profile = profiles.load(name)
    lacking = profiles.missing(profile)
    if lacking:
        pytest.skip("; ".join(map(str, lacking)))
    return profile


@pytest.fixture
def stm32() -> Profile:
    return loaded("stm32f405")


# One simulator of each kind: QEMU, and modules of the boards' package with unicorn and simavr. What the other profiles share with these is not
# looked at again.
EACH_SIMULATOR = ("stm32f405", "esp32c3", "arduino_uno")


@pytest.fixture(params=EACH_SIMULATOR)
def profile(request: pytest.FixtureRequest) -> Profile:
    return loaded(request.param)


@pytest.fixture(params=profiles.simulated_names())
def each_profile(request: pytest.FixtureRequest) -> Profile:
    return loaded(request.param)


# Each simulator, and each sandbox with one of QEMU and one of the modules.
EACH_WAY = (
    ("stm32f405", Kind.BWRAP),
    ("stm32f405", Kind.LIMITS),
    ("esp32c3", Kind.LIMITS),
    ("arduino_uno", Kind.BWRAP),
)


@pytest.fixture(params=EACH_WAY, ids="-".join)
async def each_way(request: pytest.FixtureRequest, tmp_path: Path) -> "Bench":
    name, kind = request.param
    return Bench(loaded(name), await detected(kind), tmp_path)


# Whether too much fits is for the linker script to say.
EACH_SCRIPT = {one.linker_script: one.name for one in map(profiles.load, profiles.simulated_names())}


@pytest.fixture(params=sorted(EACH_SCRIPT.values()))
def each_script(request: pytest.FixtureRequest) -> Profile:
    return loaded(request.param)


# Profiles that have the same sources and the same core differ in their limits alone.
EACH_CORE = {
    (*one.support, *one.compiler.cflags): one.name for one in map(profiles.load, reversed(profiles.simulated_names()))
}


@pytest.fixture(params=sorted(EACH_CORE.values()))
def each_core(request: pytest.FixtureRequest) -> Profile:
    return loaded(request.param)


class Bench:
    """One profile in one sandbox and one work directory."""

    def __init__(self, profile: Profile, sandbox: Sandbox, workdir: Path) -> None:
        self.profile, self.sandbox, self.workdir = profile, sandbox, workdir

    async def build(self, sources: Mapping[str, str], timeout_s: float = 60.0) -> Build:
        return await build(self.profile, sources, self.workdir, self.sandbox, timeout_s=timeout_s)

    async def run(
        self,
        source: str,
        until: Callable[[Printed], bool] = lambda output: False,
        timeout_s: float = 60.0,
        max_bytes: int = 65536,
    ) -> Simulation:
        made = await self.build({"main.c": source})
        assert made.ok, made.diagnostics
        return await self.simulate(made, until, timeout_s, max_bytes)

    async def simulate(
        self, made: Build, until: Callable[[Printed], bool], timeout_s: float = 60.0, max_bytes: int = 65536
    ) -> Simulation:
        return await simulate(
            self.profile, made, self.workdir, self.sandbox, timeout_s=timeout_s, max_bytes=max_bytes, until=until
        )


@pytest.fixture
def bench(stm32: Profile, best: Sandbox, tmp_path: Path) -> Bench:
    """The quick one: stm32f405 in the best sandbox of this host."""
    return Bench(stm32, best, tmp_path)


async def test_the_output_is_judged_beside_the_event_loop(bench: Bench) -> None:
    """A pattern may take its time over a flood; meanwhile the runner's presence would have expired."""
    judges: set[threading.Thread] = set()

    def until(output: Printed) -> bool:
        judges.add(threading.current_thread())
        return "-42" in output.text

    assert (await bench.run(HELLO, until)).outcome is Outcome.PASSED
    assert threading.main_thread() not in judges


async def test_a_folder_named_as_a_file_is_refused_with_a_sentence(bench: Bench) -> None:
    made = await bench.build({"a.c": SILENT, "a.c/b.h": ""})
    assert made.diagnostics == "'a.c/b.h' lies in a folder of the same name as another file"


async def test_firmware_is_built_booted_and_ended_as_soon_as_it_showed_enough(
    profile: Profile, sandbox: Sandbox, tmp_path: Path
) -> None:
    simulation = await Bench(profile, sandbox, tmp_path).run(HELLO, lambda output: "0x0000beef" in output.text)
    assert simulation.failure is None
    assert simulation.outcome is Outcome.PASSED
    assert simulation.output.endswith(f"BOOT {profile.name}\r\n-42 0x0000beef\r\n")
    assert simulation.exit_code is None
    assert simulation.simulator_error == ""


async def test_the_image_is_what_is_flashed_and_its_sizes_are_told(bench: Bench) -> None:
    made = await bench.build({"main.c": HELLO})
    assert made.image is not None
    assert made.elf is not None
    assert made.flash_bytes == made.image.stat().st_size
    assert made.elf.read_bytes().startswith(b"\x7fELF")
    assert made.ram_bytes == 4104  # 4 KiB of stack, 4 bytes of data, aligned to 8
    assert (made.flash_limit_bytes, made.ram_limit_bytes) == (1 << 20, 128 << 10)
    assert made.over_budget is None


@pytest.mark.parametrize("name", ["esp32", "esp32s3"])
async def test_firmware_for_a_board_that_nothing_simulates_is_built_and_its_simulation_refused(
    name: str, best: Sandbox, tmp_path: Path
) -> None:
    own = '__attribute__((section("calibration"))) volatile int factor = 5;\n'
    divided = "volatile long long n = 1000000007; uart_put_i32((int32_t)(n / factor % 97));"
    bench = Bench(loaded(name), best, tmp_path)
    made = await bench.build({"main.c": own + main_with(divided)})
    assert made.image is not None, made.diagnostics
    assert made.image.read_bytes()[0] == 0xE9
    assert made.over_budget is None
    simulation = await bench.simulate(made, lambda output: True)
    assert simulation.outcome is Outcome.REFUSED
    assert simulation.failure is not None
    assert f"no simulator runs firmware for {name} honestly" in simulation.failure


async def test_firmware_that_platformio_builds_is_refused_where_there_is_none(
    best: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    bench = Bench(profiles.load("arduino_due"), best, tmp_path)
    made = await bench.build({"main.cpp": "#include <Arduino.h>\nvoid setup() {}\nvoid loop() {}\n"})
    assert made.diagnostics == "pio is missing (builds for arduino_due): install platformio"
    made = await bench.build({"main.ino": ""})
    assert made.diagnostics == "there is nothing to compile: at least one .cpp or .c file is needed"


async def test_firmware_for_an_rp2040_is_a_uf2_file_that_its_boot_rom_runs(best: Sandbox, tmp_path: Path) -> None:
    rp2040_profile = loaded("rp2040")
    made = await Bench(rp2040_profile, best, tmp_path).build({"main.c": HELLO})
    assert made.image is not None, made.diagnostics
    blocks = uf2.blocks_of(made.image.read_bytes())
    uf2.whole(blocks)
    flash = b"".join(block.data for block in blocks)
    assert blocks[0].address == rp2040.FLASH_START
    assert rp2040.has_second_stage(flash)  # else it would stay in its loader
    stack, entry = struct.unpack_from("<II", flash, rp2040.BOOT2_BYTES)
    assert stack <= 0x2004_2000
    assert rp2040.FLASH_START < entry < rp2040.FLASH_START + made.flash_bytes
    assert made.flash_bytes < len(flash) <= made.flash_bytes + rp2040.SECTOR_BYTES


async def test_the_same_sources_make_the_same_image_in_any_directory(each_way: Bench, tmp_path: Path) -> None:
    images = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = await Bench(each_way.profile, each_way.sandbox, tmp_path / name).build({"main.c": HELLO})
        assert made.image is not None, made.diagnostics
        images.append(made.image.read_bytes())
    assert images[0] == images[1]


async def test_an_error_is_told_with_its_file_and_line_and_no_path_of_the_host(each_way: Bench, tmp_path: Path) -> None:
    made = await each_way.build(
        {"main.c": '#include "led.h"\nint main(void) { return led; }\n', "led.h": "#pragma once\nint lamp;\n"}
    )
    assert not made.ok
    assert made.image is None
    assert "main.c:2:25: error: 'led' undeclared" in made.diagnostics
    assert str(tmp_path) not in made.diagnostics


async def test_an_undefined_function_is_told_by_the_linker(sandbox: Sandbox, stm32: Profile, tmp_path: Path) -> None:
    made = await Bench(stm32, sandbox, tmp_path).build(
        {"src/main.c": "void led(void);\nint main(void) { led(); return 0; }"}
    )
    assert not made.ok
    assert "src/main.c:2: undefined reference to `led'" in made.diagnostics
    assert "/usr" not in made.diagnostics
    assert str(tmp_path) not in made.diagnostics


async def test_warnings_are_told_and_fail_nothing(bench: Bench) -> None:
    made = await bench.build({"main.c": "int main(void) { int unused; return 0; }"})
    assert made.ok
    assert "main.c:1:22: warning: unused variable 'unused'" in made.diagnostics


async def test_ram_over_its_budget_is_told_with_the_number_of_bytes(
    each_script: Profile, best: Sandbox, tmp_path: Path
) -> None:
    arrays = "abcdefgh"  # an AVR has no array of more than 32767 bytes
    source = (
        f'#include "board.h"\nstatic volatile char {", ".join(f"{name}[25000]" for name in arrays)};\n'
        f"int main(void) {{ board_init(); return {' + '.join(f'{name}[7]' for name in arrays)}; }}"
    )
    made = await Bench(each_script, best, tmp_path).build({"main.c": source})
    assert not made.ok
    assert made.over_budget is not None
    assert re.match(r"D?RAM needs 20\d\d\d\d bytes", made.over_budget)  # the arrays and a stack of half a KiB to 8 KiB
    assert made.ram_bytes > 200_000


async def test_flash_over_its_budget_is_told(bench: Bench) -> None:
    made = await bench.build({"main.c": main_with(""), "big.s": '.section .vectors,"a"\n.fill 1100000, 1, 7\n'})
    assert not made.ok
    assert made.over_budget is not None
    needed = int(made.over_budget.split()[2])
    assert 1_100_000 < needed < 1_110_000  # the board's own code is in it
    assert made.over_budget == f"FLASH needs {needed} bytes and has 1048576: {needed - 1048576} too many."
    assert made.flash_bytes > made.flash_limit_bytes


async def test_every_profile_boots_with_its_own_linker_script_and_has_data_in_the_authors_own_sections(
    each_profile: Profile, best: Sandbox, tmp_path: Path
) -> None:
    own = '__attribute__((section("calibration"))) volatile int factor = 5, zero = 0;\n'
    body = 'uart_put_i32(factor); uart_put_i32(zero); uart_puts(" done on " BOARD_NAME);'
    simulation = await Bench(each_profile, best, tmp_path).run(
        own + main_with(body), lambda output: "done" in output.text
    )
    assert f"BOOT\r\n50 done on {each_profile.name}" in simulation.output


async def test_what_arrives_at_the_uart_is_read_by_the_firmware(
    each_core: Profile, best: Sandbox, tmp_path: Path
) -> None:
    """Two boards with joined UARTs: one counts up what the other says, which begins when it hears that the first one is there."""
    echo = main_with("for (;;) { int c = uart_getc_nonblocking(); if (c >= 0) { uart_putc((char)(c + 1)); } }")
    speaker = main_with(
        "while (uart_getc_nonblocking() < 0) { } delay_ms(20);"
        'uart_puts("HAL"); for (;;) { int c = uart_getc_nonblocking(); if (c >= 0) { uart_putc((char)c); } }'
    )
    seats = []
    for place, source in enumerate((echo, speaker)):
        folder = tmp_path / str(place)
        folder.mkdir()
        made = await Bench(each_core, best, folder).build({"main.c": source})
        assert made.image is not None, made.diagnostics
        seats.append(
            Seat(
                profile=each_core, image=made.image, workdir=folder, joined=(1 - place,), until=lambda printed: "IBM" in printed.text
            )
        )  # fmt: skip
    heard, _ = await together(seats, best, timeout_s=30, max_bytes=4096)
    assert "IBM" in heard.output


async def test_firmware_that_needs_more_ram_than_the_simulator_has_is_refused_there(
    best: Sandbox, tmp_path: Path
) -> None:
    """An STM32F103C8 has 20 KiB, the simulator's STM32F100 only 8: what lies beyond would be a fault there that the chip does not have."""
    source = main_with("static volatile char big[10000]; big[9999] = 7; uart_put_i32(big[9999]);")
    bench = Bench(loaded("stm32f103c8"), best, tmp_path)
    made = await bench.build({"main.c": source})
    assert (made.ok, made.over_budget, made.ram_limit_bytes) == (True, None, 20 << 10)
    simulation = await bench.simulate(made, lambda output: True)
    assert simulation.outcome is Outcome.REFUSED
    assert simulation.failure is not None
    assert f"the firmware uses {made.ram_bytes} bytes of RAM; stm32f103c8 has 20480" in simulation.failure
    assert "only 8192" in simulation.failure


async def test_an_l476_has_a_second_ram_for_what_asks_for_it(best: Sandbox, tmp_path: Path) -> None:
    own = '__attribute__((section(".sram2"))) volatile char table[20000];\n'
    bench = Bench(loaded("stm32l476rg"), best, tmp_path)
    made = await bench.build({"main.c": own + main_with("table[19999] = 42; uart_put_i32(table[19999]);")})
    assert made.ok, made.diagnostics
    assert (made.ram_bytes, made.ram_limit_bytes) == (24104, 128 << 10)
    simulation = await bench.simulate(made, lambda output: "42" in output.text)
    assert "BOOT\r\n42" in simulation.output


async def test_an_avr_keeps_the_time_of_its_crystal_and_has_timers_and_interrupts(
    best: Sandbox, tmp_path: Path
) -> None:
    """Half a second of TIMER1, counted by an interrupt while the core sleeps: 50 times 10 ms."""
    source = """
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include "board.h"
static volatile uint8_t ticks;
ISR(TIMER1_COMPA_vect) { ticks++; }
int main(void) {
    board_init();
    uart_puts("BOOT\\r\\n");
    OCR1A = 20000 - 1; TCCR1B = _BV(WGM12) | _BV(CS11); TIMSK1 = _BV(OCIE1A);
    sei();
    while (ticks < 50) { sleep_mode(); }
    uart_puts("half a second");
    cli();
    sleep_mode();
}
"""
    simulation = await Bench(loaded("arduino_uno"), best, tmp_path).run(source)
    assert simulation.outcome is Outcome.TIMEOUT, simulation.simulator_error  # at rest before the time was over
    assert simulation.output == "BOOT\r\nhalf a second"
    # Since BOOT was read, which may have been late; the next prescaler is eight times off.
    assert simulation.printed.at_s(len(simulation.output)) >= 0.3
    assert "sleeps with interrupts off" in simulation.simulator_error


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ({}, "nothing to compile"),
        ({"a.h": ""}, "nothing to compile"),
        ({"../main.c": ""}, "no legal file name"),
        ({"/tmp/main.c": ""}, "no legal file name"),
        ({"a/../../main.c": ""}, "no legal file name"),
        ({"-fplugin=x.c": ""}, "no legal file name"),
        ({"main.c": "", "link.ld": ""}, "no legal file name"),
        ({"board/main.c": ""}, "the board's own file"),
        ({"board.h": "", "main.c": ""}, "the board's own file"),
        ({f"f{n}.c": "" for n in range(33)}, "33 files are too many"),
        ({"main.c": " " * 262_145}, "larger than 262144 bytes"),
        ({f"f{n}.c": " " * 250_000 for n in range(5)}, "all files together"),
    ],
)
async def test_illegal_sources_are_refused_with_a_sentence(
    bench: Bench, sources: dict[str, str], sentence: str
) -> None:
    made = await bench.build(sources)
    assert not made.ok
    assert sentence in made.diagnostics
    assert list(bench.workdir.iterdir()) == []


async def test_a_missing_compiler_is_told_with_its_package(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    made = await bench.build({"main.c": HELLO})
    assert "arm-none-eabi-gcc is missing (compiles for stm32f405): install gcc-arm-none-eabi" in made.diagnostics


async def test_a_build_that_takes_too_long_is_stopped(bench: Bench) -> None:
    made = await bench.build(
        {"main.c": main_with(""), "slow.s": ".rept 50000\n.rept 5000\n.set x, 1\n.endr\n.endr\n"}, timeout_s=0.5
    )
    assert made.diagnostics == "the build was stopped after 0.5 s"


async def test_a_fault_is_a_crash_and_is_told_apart_from_the_output(
    each_core: Profile, best: Sandbox, tmp_path: Path
) -> None:
    bad = main_with("delay_ms(1); __builtin_trap();")  # QEMU's nRF51 lets a store to nowhere pass
    simulation = await Bench(each_core, best, tmp_path).run(bad)
    assert simulation.outcome is Outcome.CRASHED
    assert simulation.exit_code in {134, -6}
    assert "BOOT" in simulation.output
    assert simulation.failure is not None
    assert simulation.failure.startswith("the firmware crashed: ")
    assert simulation.simulator_error
    assert simulation.simulator_error not in simulation.output


async def test_the_fault_report_names_the_place(bench: Bench) -> None:
    simulation = await bench.run(main_with("*(volatile uint32_t *)0xF0000000u = 1;"))
    assert "FAULT pc=0x080" in simulation.output
    assert "Lockup" in simulation.simulator_error


async def test_a_crash_right_after_all_was_shown_is_a_crash(bench: Bench) -> None:
    bad = main_with("delay_ms(50); *(volatile uint32_t *)0xF0000000u = 1;")
    simulation = await bench.run(bad, lambda output: "BOOT" in output.text)
    assert simulation.outcome is Outcome.CRASHED


async def test_an_image_without_a_vector_table_is_a_crash(bench: Bench) -> None:
    made = await bench.build({"main.c": HELLO})
    assert made.image is not None
    made.image.write_bytes(bytes(1024))
    simulation = await bench.simulate(made, lambda output: True)
    assert (simulation.outcome, simulation.output) == (Outcome.CRASHED, "")


async def test_an_image_that_is_not_there_is_refused(bench: Bench) -> None:
    made = await bench.build({"main.c": HELLO})
    assert made.image is not None
    made.image.unlink()
    simulation = await bench.simulate(made, lambda output: True)
    assert simulation.outcome is Outcome.REFUSED
    assert simulation.failure is not None
    assert "firmware.bin" in simulation.failure


async def test_a_flood_is_cut_at_its_cap(each_way: Bench) -> None:
    simulation = await each_way.run(FLOOD, max_bytes=10_000)
    assert simulation.outcome is Outcome.FLOODED
    assert len(simulation.output) == 10_000


async def test_a_silent_endless_loop_ends_at_its_deadline(bench: Bench) -> None:
    simulation = await bench.run(SILENT, timeout_s=0.5)
    assert simulation.outcome is Outcome.TIMEOUT
    assert simulation.failure == "the firmware printed nothing"
    assert simulation.duration_s >= 0.5
    assert simulation.simulator_error == ""


async def test_what_follows_soon_after_enough_was_seen_is_still_seen(bench: Bench) -> None:
    simulation = await bench.run(main_with('delay_ms(40); uart_puts("PANIC");'), lambda output: "BOOT" in output.text)
    assert simulation.outcome is Outcome.PASSED
    assert "PANIC" in simulation.output


async def test_a_waiting_board_leaves_the_processor_alone(bench: Bench) -> None:
    before = psutil.Process().children(recursive=True)
    looked: list[tuple[float, float]] = []  # when, and the processor time that the simulator had used by then

    def until(output: Printed) -> bool:
        children = psutil.Process().children(recursive=True)
        used_s = [sum(one.cpu_times()[:2]) for one in children if one not in before and one.name()[:4] == "qemu"]
        looked.extend((time.monotonic(), one) for one in used_s)
        return "100" in output.text

    source = 'for (uint32_t i = 0;; i++) { uart_put_u32(i); uart_puts(" "); delay_ms(10); }'
    simulation = await bench.run(main_with(source), until)
    assert simulation.outcome is Outcome.PASSED
    assert simulation.duration_s >= 0.9  # 100 times 10 ms, on the simulator's clock
    (began, used_before), (ended, used) = looked[0], looked[-1]
    assert used - used_before < (ended - began) / 2


async def test_no_file_of_the_host_can_be_built_in(stm32: Profile, fenced: Sandbox, tmp_path: Path) -> None:
    secret, workdir = tmp_path / "secret", tmp_path / "work"
    secret.write_text("the secret")
    workdir.mkdir()
    wanted = [secret, "/etc/passwd", "/etc/hostname", "/proc/1/root/etc/passwd", "../../../etc/passwd", "../secret"]
    theft = "\n".join(f'.incbin "{one}"' for one in wanted)
    made = await Bench(stm32, fenced, workdir).build({"main.c": HELLO, "theft.s": f".section .rodata\n{theft}\n"})
    assert not made.ok
    for number in range(len(wanted)):
        assert f"theft.s:{number + 2}: Error: file not found" in made.diagnostics


async def test_the_kernels_limits_hold_without_bubblewrap_as_well(tmp_path: Path) -> None:
    sandbox = await detected(Kind.LIMITS)
    limits = Limits(cpu_s=1, address_bytes=1 << 30, file_bytes=4096)
    big = await sandbox.run(
        ["dd", "if=/dev/zero", "of=big", "bs=1k", "count=64"], workdir=tmp_path, limits=limits, max_bytes=4096
    )
    assert big.returncode != 0
    assert (tmp_path / "big").stat().st_size == 4096
    busy = await sandbox.run(["bash", "-c", "while :; do :; done"], workdir=tmp_path, limits=limits, max_bytes=4096)
    assert busy.returncode in {137, -9, 152, -24}


async def test_no_secret_of_the_service_is_in_the_environment(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not for you")
    limits = Limits(cpu_s=5, address_bytes=1 << 30, file_bytes=4096)
    finished = await sandbox.run(["env"], workdir=tmp_path, limits=limits, max_bytes=4096)
    assert "not for you" not in finished.stdout
    assert "PATH=" in finished.stdout


async def test_a_cancel_ends_the_simulator(each_way: Bench) -> None:
    before = set(psutil.Process().children(recursive=True))
    running = asyncio.Event()

    def until(output: Printed) -> bool:
        running.set()
        return False

    made = await each_way.build({"main.c": HELLO})
    task = asyncio.create_task(each_way.simulate(made, until, 600.0))
    await asyncio.wait_for(running.wait(), 30)
    started = [one for one in psutil.Process().children(recursive=True) if one not in before]
    assert started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _, alive = psutil.wait_procs(started, timeout=30)
    assert alive == []


async def test_a_word_that_names_no_sandbox_is_refused() -> None:
    with pytest.raises(ValueError, match="BENCHWIRE_SANDBOX is auto, bwrap or limits, not 'docker'"):
        await sandboxes.detect("docker")


WANTED = [
    Assertion(name="counts to five", pattern="^count 5$", kind=Meant.REGEX),
    Assertion(name="tests itself", pattern="SELFTEST PASS"),
    Assertion(name="no failure", pattern="SELFTEST FAIL", kind=Meant.ABSENT, within_s=1.5),
    Assertion(name="heart beats", pattern="tick 1"),
]


@pytest.mark.parametrize(
    ("file", "failing"),
    [
        ("stm32f405_2.c", ["counts to five", "tests itself", "no failure"]),
        ("stm32f405_3.c", []),
        ("esp32c3_1.c", ["tests itself"]),
        ("esp32c3_2.c", []),
    ],
)
async def test_a_prepared_firmware_behaves_as_its_number_says(
    best: Sandbox, tmp_path: Path, file: str, failing: list[str]
) -> None:
    profile = loaded(file.split("_", maxsplit=1)[0])
    boots = Assertion(name="boots", pattern=f"BOOT {profile.name}")
    wanted = [boots, *WANTED]
    source = (SCRIPTED / file).read_text()
    met = partial(satisfied, assertions=[one for one in wanted if one.name not in failing])
    simulation = await Bench(profile, best, tmp_path).run(source, met)
    assert simulation.failure is None
    assert simulation.outcome is Outcome.PASSED
    assert [result.name for result in judge(simulation.output, wanted) if not result.passed] == failing


async def test_the_first_prepared_firmware_for_the_stm32_does_not_compile(bench: Bench) -> None:
    made = await bench.build({"main.c": (SCRIPTED / "stm32f405_1.c").read_text()})
    assert not made.ok
    assert "main.c:14:24: error: expected ';' before 'uart_puts'" in made.diagnostics
