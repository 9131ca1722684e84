"""Virtual boards of the ESP32 family as processes: untouched esptool flashes them, pyserial reads what they print."""

import asyncio
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import serial

from benchwire.boards import profile as profiles
from benchwire.boards.profile import EspImage, Esptool
from benchwire.boards.virtual.registry import read_records
from benchwire.events import child
from benchwire.events.testing.eventually import eventually

pytestmark = pytest.mark.timeout(90)

ESPTOOL = [sys.executable, "-m", "esptool"]
SIMULATE = [sys.executable, "-m", "benchwire.boards.virtual.esp.c3.simulate"]
CHIPS = ("esp32", "esp32s3", "esp32c3")
FLASH_BYTES = 4 * 1024 * 1024

START = """
.option norvc
.section .text.start
.globl _start
_start:
    la sp, _stack
    call main
1:  wfi
    j 1b
"""
LAYOUT = """
ENTRY(_start)
MEMORY { iram (rwx) : ORIGIN = 0x40380000, LENGTH = 64K
         dram (rw) : ORIGIN = 0x3FC90000, LENGTH = 192K }
SECTIONS {
    .text : { KEEP(*(.text.start)) *(.text*) } > iram
    .data : { *(.rodata*) *(.srodata*) *(.data*) *(.sdata*) *(.bss*) *(.sbss*) } > dram
    _stack = 0x3FCC0000;
}
"""
BASE = """
#define R(a) (*(volatile unsigned *)(a))
static void put(char c) { while (((R(0x6000001C) >> 16) & 0x3ff) >= 126) ; R(0x60000000) = c; }
static void say(const char *s) { while (*s) put(*s++); }
static unsigned now_us(void) { R(0x60023004) = 1u << 30; while (!(R(0x60023004) & (1u << 29))) ; return R(0x60023044) / 16; }
static void watchdogs_off(void) {
    R(0x600080A8) = 0x50D83AA1; R(0x60008090) = 0; R(0x600080A8) = 0;
    R(0x600080B0) = 0x8F1D312A; R(0x600080AC) |= 1u << 31; R(0x600080B0) = 0;
    R(0x6001F064) = 0x50D83AA1; R(0x6001F048) = 0; R(0x6001F064) = 0;
}
"""
ECHO = 'int main(void) { watchdogs_off(); say("HELLO %s\\n"); for (;;) if (R(0x6000001C) & 0x3ff) put(R(0x60000000)); }'
BUSY = "int main(void) { for (volatile int n = 0;; n++) ; }"

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compiles `main` for the ESP32-C3 and packs it as it is flashed, once; returns the .bin."""
    if shutil.which("riscv64-unknown-elf-gcc") is None:
        pytest.skip("no RISC-V compiler on this machine")

    @cache
    def build_one(name: str, main: str) -> Path:
        folder = tmp_path_factory.mktemp(f"build-{name}")
        for file, text in {"start.S": START, "layout.ld": LAYOUT, "main.c": BASE + main}.items():
            (folder / file).write_text(text)
        flags = ["-Os", "-march=rv32imc_zicsr", "-mabi=ilp32", "-ffreestanding", "-nostdlib", "-nostartfiles"]
        compiler = ["riscv64-unknown-elf-gcc", *flags, "-T", "layout.ld", "start.S", "main.c", "-o", "app.elf"]
        subprocess.run(child.dying_with_owner(compiler), cwd=folder, check=True, capture_output=True)
        return pack("esp32c3", folder / "app.elf")

    return build_one


def pack(profile: str, elf: Path) -> Path:
    """What is flashed of a program: the image, beside it."""
    kind = profiles.load(profile).image
    assert isinstance(kind, EspImage)
    image = elf.with_suffix(".bin")
    command = [*ESPTOOL, "--chip", kind.chip, "elf2image", *kind.arguments, "-o", str(image), str(elf)]
    subprocess.run(child.dying_with_owner(command), check=True, capture_output=True)
    return image


class Bench:
    """A board process and what a hand on the bench does with it."""

    def __init__(self, process: asyncio.subprocess.Process, run_dir: Path, profile: str) -> None:
        self.process = process
        self.run_dir = run_dir
        self.tty = str(run_dir / "board.tty")
        (self.record,) = read_records(run_dir)
        self.chip = ["--chip", profile]
        self.patience = run_dir.with_name("esptool.cfg")  # a board that is a process is slow on a machine that is busy
        self.patience.write_text("[esptool]\ntimeout = 30\n")

    async def tell(self, command: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self.run_dir / "board.control")
        try:
            writer.write(msgspec.json.encode(command) + b"\n")
            return msgspec.json.decode(await asyncio.wait_for(reader.readline(), 30), type=dict[str, Any])
        finally:
            writer.close()
            await writer.wait_closed()

    async def reset(self, mode: str = "run") -> None:
        assert (await self.tell({"do": "reset", "mode": mode}))["ok"]

    async def until(self, **wanted: object) -> dict[str, Any]:
        """The status once it shows what is `wanted`; fails after some seconds."""
        deadline_s = time.monotonic() + 30
        while True:
            status = await self.tell({"do": "status"})
            if all(status[key] == value for key, value in wanted.items()):
                return status
            assert time.monotonic() < deadline_s, f"waited for {wanted}, and the board says {status}"
            await asyncio.sleep(0.01)

    async def esptool(self, *arguments: str | Path, port: str | None = None) -> tuple[int, str]:
        """Run the tool as anybody would; returns its exit code and everything it said."""
        tool = await asyncio.create_subprocess_exec(
            *child.dying_with_owner([*ESPTOOL, *self.chip, "--port", port or self.tty, *map(str, arguments)]),
            env=os.environ | {"ESPTOOL_CFGFILE": str(self.patience)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(tool.communicate(), 60)
        finally:
            if tool.returncode is None:
                tool.kill()
                await tool.wait()
        assert tool.returncode is not None
        return tool.returncode, said.decode()

    async def flash(self, *arguments: str | Path, port: str | None = None) -> str:
        code, said = await self.esptool(*arguments, port=port)
        assert code == 0, said
        return said

    async def line_after(self, mode: str, wanted: bytes) -> bytes:
        """Reset with the port open, and read up to `wanted`; what the board said before is not in it."""
        await self.reset("download")
        await self.until(state="loader")
        with serial.Serial(self.tty, 115200, timeout=30, exclusive=True) as port:
            await self.reset(mode)
            heard: bytes = await asyncio.to_thread(port.read_until, wanted)
            return heard


def put_into_flash(run_dir: Path, image: Path) -> None:
    run_dir.mkdir(parents=True)
    (run_dir / "board.flash").write_bytes(image.read_bytes().ljust(FLASH_BYTES, b"\xff"))


@asynccontextmanager
async def plugged_in(run_dir: Path, profile: str = "esp32c3", *, holds: Path | None = None) -> AsyncIterator[Bench]:
    """A board that was just plugged in; its flash begins with the image `holds`, as if somebody had flashed that before."""
    if holds is not None:
        put_into_flash(run_dir, holds)
    argv = [sys.executable, "-m", "benchwire.boards.virtual", profile, "--name", "board", "--run-dir", str(run_dir)]
    process = await asyncio.create_subprocess_exec(
        *child.dying_with_owner([*argv, "--die-with-parent"]), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        ready = await asyncio.wait_for(process.stdout.readline(), 30)
        assert ready.startswith(b"ready board")
        yield Bench(process, run_dir, profile)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 30)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with plugged_in(tmp_path / "run") as bench:
        yield bench


def text_like(size_bytes: int) -> bytes:
    """Bytes that compress about as well as firmware does."""
    chance = random.Random(size_bytes)
    return bytes(chance.choice(b"abcdefgh\x00\xc0\xdb\xff") for _ in range(size_bytes))


async def test_a_firmware_is_flashed_verified_and_heard_and_then_another_one(bench: Bench, build: Build) -> None:
    for name in ("ONE", "TWO"):
        await bench.reset("download")
        said = await bench.flash("write-flash", "0x0", build(name, ECHO % name))
        assert "Compressed" in said
        assert "Stub flasher running" in said
        assert "Hash of data verified" in said
        heard = await bench.line_after("run", b"HELLO %s\n" % name.encode())
        assert heard.startswith(b"ESP-ROM:esp32c3-virtual")
        assert heard.endswith(b"HELLO %s\n" % name.encode())


async def test_the_running_app_owns_the_uart_in_both_directions(tmp_path: Path, build: Build) -> None:
    async with plugged_in(tmp_path / "run", holds=build("echo", ECHO % "ECHO")) as bench:
        assert (await bench.line_after("run", b"HELLO ECHO\n")).endswith(b"HELLO ECHO\n")
        with serial.Serial(bench.tty, 115200, timeout=30, exclusive=True) as port:
            port.write(bytes(range(256)) * 4)
            assert await asyncio.to_thread(port.read, 1024) == bytes(range(256)) * 4
        code, said = await bench.esptool("--connect-attempts", "1", "flash-id")
        assert code != 0
        assert "Failed to connect" in said


@pytest.mark.parametrize(
    "how",
    [pytest.param(("write-flash", "--no-compress"), marks=pytest.mark.long), ("--no-stub", "write-flash")],
    ids=["raw", "without stub"],
)
async def test_what_is_written_reads_back_equal(bench: Bench, tmp_path: Path, how: tuple[str, ...]) -> None:
    content, back = tmp_path / "content.bin", tmp_path / "back.bin"
    content.write_bytes(text_like(200_000))
    await bench.reset("download")
    assert "Hash of data verified" in await bench.flash(*how, "0x10000", content)
    await bench.flash("read-flash", "0x10000", "200000", back)
    assert back.read_bytes() == content.read_bytes()


async def test_the_rom_alone_compresses_too_and_reads_slowly(bench: Bench, tmp_path: Path) -> None:
    content, back = tmp_path / "content.bin", tmp_path / "back.bin"
    content.write_bytes(text_like(10_001))
    await bench.reset("download")
    said = await bench.flash("--no-stub", "write-flash", "--compress", "0x3000", content)
    assert "Hash of data verified" in said
    await bench.flash("--no-stub", "read-flash", "0x3000", "10001", back)
    assert back.read_bytes() == content.read_bytes()


async def test_an_erased_chip_says_that_it_has_no_image(tmp_path: Path, build: Build) -> None:
    async with plugged_in(tmp_path / "run", holds=build("echo", ECHO % "ECHO")) as bench:
        await bench.until(state="app")
        await bench.reset("download")
        await bench.flash("erase-flash")
        assert (bench.run_dir / "board.flash").read_bytes() == b"\xff" * FLASH_BYTES
        assert b"invalid header: 0xffffffff" in await bench.line_after("run", b"ffffffff\r\n")
        assert (await bench.until(state="refused"))["reason"] == "invalid header: 0xffffffff"


async def test_a_bit_that_comes_out_wrong_is_found_by_the_tool(bench: Bench, build: Build) -> None:
    firmware = build("echo", ECHO % "ECHO")
    await bench.reset("download")
    assert (await bench.tell({"do": "fault", "kind": "flip_bit", "address": 0x20}))["ok"]
    code, said = await bench.esptool("write-flash", "0x0", firmware)
    assert code != 0
    assert "MD5 of file does not match" in said
    assert b"csum err" in await bench.line_after("run", b"csum err")
    await bench.reset("download")
    await bench.flash("write-flash", "0x0", firmware)
    assert (await bench.line_after("run", b"HELLO ECHO\n")).endswith(b"HELLO ECHO\n")


async def test_the_tool_can_reset_the_chip_by_its_watchdog(bench: Bench, build: Build) -> None:
    await bench.reset("download")
    await bench.flash("--after", "watchdog-reset", "write-flash", "0x0", build("echo", ECHO % "ECHO"))
    await bench.until(state="app", strap="run")


async def test_leaving_the_stub_gets_back_to_the_rom(bench: Bench) -> None:
    await bench.reset("download")
    await bench.flash("flash-id")
    await bench.until(state="stub")
    assert "already running" in await bench.flash("flash-id")
    await bench.flash("--after", "no-reset", "flash-id")
    await bench.until(state="loader", strap="download")


async def test_code_loaded_into_ram_runs_and_the_flash_stays(bench: Bench, build: Build) -> None:
    await bench.reset("download")
    before = (await bench.tell({"do": "status"}))["flash_sha256"]
    await bench.flash("--no-stub", "load-ram", build("echo", ECHO % "ECHO"))
    assert (await bench.until(state="app"))["flash_sha256"] == before


async def test_flash_survives_the_power_and_the_process(tmp_path: Path, build: Build) -> None:
    async with plugged_in(tmp_path / "run") as bench:
        await bench.reset("download")
        await bench.flash("write-flash", "0x0", build("echo", ECHO % "ECHO"))
        await bench.tell({"do": "power", "on": False})
        assert not (await bench.tell({"do": "status"}))["powered"]
        assert "no power" in (await bench.tell({"do": "reset"}))["error"]
        await bench.tell({"do": "power", "on": True})
        await bench.until(state="app")
    async with plugged_in(tmp_path / "run") as bench:
        await bench.until(state="app")


async def test_a_mute_board_answers_again_after_a_power_cycle(bench: Bench) -> None:
    await bench.reset("download")
    await bench.tell({"do": "fault", "kind": "mute"})
    await bench.reset("download")
    code, _ = await bench.esptool("--connect-attempts", "1", "flash-id")
    assert code != 0
    await bench.tell({"do": "power", "on": False})
    await bench.tell({"do": "power", "on": True})
    await bench.reset("download")
    await bench.flash("flash-id")


async def test_a_slow_line_is_slow(bench: Bench, tmp_path: Path) -> None:
    content = tmp_path / "content.bin"
    content.write_bytes(random.Random(1).randbytes(60_000))
    await bench.reset("download")
    await bench.flash("flash-id")
    await bench.tell({"do": "fault", "kind": "slow", "bytes_per_s": 40_000})
    began_s = time.monotonic()
    await bench.flash("write-flash", "0x0", content)
    assert time.monotonic() - began_s > 1.5


async def test_pulling_the_cable_ends_everything_but_the_flash(bench: Bench) -> None:
    assert (await bench.tell({"do": "fault", "kind": "unplug"}))["ok"]
    assert await asyncio.wait_for(bench.process.wait(), 30) == 0
    assert [path.name for path in bench.run_dir.iterdir()] == ["board.flash"]


@pytest.mark.parametrize("state", ["app", "loader", pytest.param("refused", marks=pytest.mark.long)])
async def test_sigterm_leaves_nothing_but_the_flash(tmp_path: Path, build: Build, state: str) -> None:
    async with plugged_in(tmp_path / "run", holds=build("busy", BUSY) if state == "app" else None) as bench:
        if state == "loader":
            await bench.reset("download")
        await bench.until(state=state)
        bench.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(bench.process.wait(), 30) == 0
        assert [path.name for path in bench.run_dir.iterdir()] == ["board.flash"]


async def test_a_fault_that_nobody_knows_is_refused(bench: Bench) -> None:
    assert (
        "flip_bit, mute, slow, unplug, wrong_chip" in (await bench.tell({"do": "fault", "kind": "lightning"}))["error"]
    )
    assert not (await bench.tell({"do": "fault", "kind": "flip_bit", "address": 1 << 30}))["ok"]
    assert not (await bench.tell({"do": "fault", "kind": "slow"}))["ok"]


async def test_a_crash_is_told_on_the_line_and_the_board_lives_on(tmp_path: Path, build: Build) -> None:
    firmware = build("crash", 'int main(void) { say("UP\\n"); R(0x10) = 1; return 0; }')
    async with plugged_in(tmp_path / "run", holds=firmware) as bench:
        heard = await bench.line_after("run", b"next reset.\r\n")
        assert b"UP\n" in heard
        assert b"Guru Meditation Error: Core  0 panic'ed (Store access fault. MEPC=0x4038" in heard
        assert "MTVAL=0x00000010" in (await bench.until(state="crashed"))["reason"]
        await bench.reset("download")
        await bench.flash("write-flash", "0x0", build("echo", ECHO % "ECHO"))
        assert (await bench.line_after("run", b"HELLO ECHO\n")).endswith(b"HELLO ECHO\n")


async def test_neither_a_polling_nor_a_busy_app_keeps_a_core_busy(tmp_path: Path, build: Build) -> None:
    for name, main in {"echo": ECHO % "ECHO", "busy": BUSY}.items():
        async with plugged_in(tmp_path / name, holds=build(name, main)) as bench:
            await bench.until(state="app")
            # A booting app may take a burst, and a loaded machine stretches it.
            await eventually(partial(share_of_a_core_is_below, 0.4, bench.process.pid), what=name)


async def share_of_a_core_is_below(share: float, pid: int) -> bool:
    before_s, began_s = cpu_s(pid), time.monotonic()
    await asyncio.sleep(1)
    return (cpu_s(pid) - before_s) / (time.monotonic() - began_s) < share


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


# -- every chip, by every way


TOLD = {
    "esp32": "ESP32-D0WD-V3 (revision v3.1)",
    "esp32s3": "ESP32-S3 (QFN56) (revision v0.2)",
    "esp32c3": "ESP32-C3 (QFN32) (revision v0.4)",
}


@pytest.mark.parametrize(
    ("profile", "way"),
    [
        ("esp32", "tty"),
        ("esp32c3", "socket"),
        pytest.param("esp32s3", "tty", marks=pytest.mark.long),
        pytest.param("esp32", "socket", marks=pytest.mark.long),
        pytest.param("esp32s3", "socket", marks=pytest.mark.long),
        pytest.param("esp32c3", "tty", marks=pytest.mark.long),
    ],
)
async def test_the_tool_detects_writes_verifies_reads_and_erases(tmp_path: Path, profile: str, way: str) -> None:
    one, two, back = tmp_path / "one.bin", tmp_path / "two.bin", tmp_path / "back.bin"
    one.write_bytes(text_like(50_000))
    two.write_bytes(text_like(10_001))
    async with plugged_in(tmp_path / "run", profile) as bench:
        assert bench.record.socket is not None
        bench.chip = []  # the tool finds out
        run = partial(bench.flash, "--before", "no-reset", port=bench.record.socket if way == "socket" else bench.tty)
        await bench.reset("download")
        said = await run("write-flash", "0x10000", one, "0x30000", two)
        assert f"Chip type:          {TOLD[profile]}" in said
        assert "Crystal frequency:  40MHz" in said
        assert (await bench.tell({"do": "status"}))["mac"] in said
        assert "Stub flasher running" in said
        assert said.count("Compressed") == said.count("Hash of data verified") == 2
        said = await run("verify-flash", "0x10000", one, "0x30000", two)
        assert "already running" in said
        assert said.count("Verification successful") == 2
        await run("erase-region", "0x11000", "0x1000")
        await run("read-flash", "0x10000", "50000", back)
        assert back.read_bytes() == one.read_bytes()[:0x1000] + b"\xff" * 0x1000 + one.read_bytes()[0x2000:]
        await bench.reset("download")
        assert "Hash of data verified" in await run("--no-stub", "write-flash", "0x10000", two)
        assert (bench.run_dir / "board.flash").read_bytes()[0x10000:].startswith(two.read_bytes() + b"\xff" * 2000)
        assert "Detected flash size: 4MB" in await run("flash-id")
        await run("erase-flash")
        assert (bench.run_dir / "board.flash").read_bytes() == b"\xff" * FLASH_BYTES


async def over_rfc2217(folder: Path, profile: str, *command: str | Path) -> bytes:
    """What the flash holds once the tool has reset the chip into its loader, done the command, and reset it again."""
    async with plugged_in(folder, profile) as bench:
        await bench.flash("--no-stub", *command, port=bench.record.rfc2217)
        status = await bench.until(state="refused")
        assert (status["resets"], status["strap"]) == (3, "run")  # power, into the loader, out of it
        return (bench.run_dir / "board.flash").read_bytes()


async def test_over_rfc2217_the_tool_resets_the_chip_into_its_loader_and_out_of_it(tmp_path: Path) -> None:
    await over_rfc2217(tmp_path / "run", "esp32c3", "read-mac")


@pytest.mark.long
async def test_over_rfc2217_the_tool_writes_every_chip(tmp_path: Path) -> None:
    """Long: pyserial negotiates the port again whenever a timeout changes, and that takes its time."""
    content = tmp_path / "content.bin"
    content.write_bytes(b"\xff\xfe\x00 telnet has a byte of its own \xff\xff\xf0")
    written = await asyncio.gather(
        *(over_rfc2217(tmp_path / profile, profile, "write-flash", "0x20000", content) for profile in CHIPS)
    )
    assert all(flash[0x20000:].startswith(content.read_bytes()) for flash in written)


async def test_what_rfc2217_has_no_meaning_for_hangs_up_and_harms_nobody(bench: Bench) -> None:
    assert bench.record.rfc2217 is not None
    port = int(bench.record.rfc2217.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\xff\xfa\x2c\x03\x63\xff\xf0")  # a parity that there isn't
    async with asyncio.timeout(30):
        while await reader.read(1024):
            pass
    writer.close()
    await bench.reset("download")
    await bench.until(state="loader")


async def test_a_strapping_pin_that_is_held_keeps_every_start_in_the_loader(bench: Bench) -> None:
    await bench.tell({"do": "strap", "mode": "download"})
    await bench.until(pin="download", state="refused")  # nothing happens before a reset
    await bench.reset()
    await bench.until(state="loader", strap="download")
    await bench.tell({"do": "power", "on": False})
    await bench.tell({"do": "power", "on": True})
    await bench.until(state="loader")
    await bench.tell({"do": "strap", "mode": "run"})
    await bench.until(state="loader", pin="run")
    await bench.reset()
    await bench.until(state="refused", strap="run")


async def test_wrong_chips_bad_digests_and_bad_sectors_are_told_by_the_tool(tmp_path: Path) -> None:
    content = tmp_path / "content.bin"
    content.write_bytes(text_like(20_000))
    async with plugged_in(tmp_path / "run", "esp32s3") as bench:
        await bench.reset("download")
        await bench.tell({"do": "fault", "kind": "wrong_chip", "chip": "esp32c3"})
        code, said = await bench.esptool("flash-id")
        assert code != 0
        assert "This chip is ESP32-C3, not ESP32-S3" in said
        await bench.tell({"do": "power", "on": False})
        await bench.tell({"do": "power", "on": True})
        await bench.reset("download")
        await bench.tell({"do": "fault", "kind": "bad_md5"})
        code, said = await bench.esptool("write-flash", "0x10000", content)
        assert code != 0
        assert "MD5 of file does not match" in said
        await bench.tell({"do": "fault", "kind": "bad_sector", "address": 0x13000})
        code, said = await bench.esptool("write-flash", "0x10000", content)
        assert code != 0
        assert "Failed to write compressed data to flash after seq 0" in said
        await bench.tell({"do": "power", "on": False})
        await bench.tell({"do": "power", "on": True})
        await bench.reset("download")
        assert "Hash of data verified" in await bench.flash("write-flash", "0x10000", content)


async def test_a_cable_that_goes_in_the_middle_leaves_a_part_in_the_flash(tmp_path: Path) -> None:
    content = tmp_path / "content.bin"
    content.write_bytes(random.Random(3).randbytes(100_000))
    async with plugged_in(tmp_path / "run", "esp32") as bench:
        await bench.reset("download")
        await bench.flash("flash-id")  # the stub is there from now on
        await bench.tell({"do": "fault", "kind": "drop", "after_bytes": 50_000})
        # over TCP the tool hears at once that the other side is gone
        code, said = await bench.esptool(
            "--before", "no-reset", "write-flash", "0x10000", content, port=bench.record.socket
        )
        assert code != 0, said
        assert await asyncio.wait_for(bench.process.wait(), 30) == 0
        assert [path.name for path in bench.run_dir.iterdir()] == ["board.flash"]
        written = (bench.run_dir / "board.flash").read_bytes()[0x10000 : 0x10000 + 100_000]
        assert written.startswith(content.read_bytes()[:16_384])
        assert written.endswith(b"\xff" * 16_384)


def packed(profile_name: str, folder: Path, main: str, *others: str) -> Path:
    """Compiles `main` with the profile's own files and packs it, as it is flashed."""
    profile = profiles.load(profile_name)
    if shutil.which(profile.compiler.gcc) is None:
        pytest.skip(f"no {profile.compiler.gcc} on this machine (Debian: {profile.compiler.package})")
    (folder / "main.c").write_text(main)
    sources = [str(folder / "main.c"), *(str(profiles.ROOT / file) for file in (*profile.support_sources, *others))]
    elf = folder / "app.elf"
    script = str(profiles.ROOT / profile.linker_script)
    include = str(profiles.ROOT / "common")
    argv = profile.compile_argv(sources, include=include, linker_script=script, output=str(elf))
    subprocess.run(child.dying_with_owner(argv), check=True, capture_output=True)
    return pack(profile_name, elf)


@pytest.mark.parametrize("profile", [pytest.param("esp32", marks=pytest.mark.long), "esp32s3"])
async def test_a_board_without_a_core_loads_its_app_and_says_that_it_does_not_run_it(
    tmp_path: Path, profile: str
) -> None:
    hello = '#include "board.h"\nint main(void) { board_init(); uart_puts("HELLO\\r\\n"); return 0; }'
    image = packed(profile, tmp_path, hello)
    driver = profiles.load(profile).driver
    assert isinstance(driver, Esptool)
    async with plugged_in(tmp_path / "run", profile) as bench:
        await bench.reset("download")
        await bench.flash("write-flash", hex(driver.offset), image)
        heard = (await bench.line_after("run", b"no Xtensa core\r\n")).decode()
        assert heard.startswith(f"ESP-ROM:{profile}-virtual\r\nrst:0x1 (POWERON")
        assert "mode:DIO, clock div:2\r\nload:0x3f" in heard
        assert heard.endswith("the app is not run: this virtual board has no Xtensa core\r\n")
        assert "HELLO" not in heard
        status = await bench.until(state="loaded", running=False)
        assert "not run" in status["reason"]


def numbers(count: int) -> list[tuple[int, int]]:
    chance = random.Random(count)
    edges = [(0, 1), (2**64 - 1, 1), (2**63, 2**64 - 1), (2**63 + 2**31, 2**32 - 1), (2**64 - 5, 2**63 + 7), (7, 0)]
    sizes = [(chance.randint(1, 64), chance.randint(1, 64)) for _ in range(count - len(edges))]
    return edges + [(chance.getrandbits(left), chance.getrandbits(right) | 1) for left, right in sizes]


def signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >> (bits - 1) else number


def divided(left: int, right: int) -> tuple[int, int]:
    """Towards zero, as C divides."""
    if right == 0:
        return 0, left
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return quotient, left - quotient * right


async def test_the_arithmetic_that_the_xtensa_compiler_leaves_out_is_right(tmp_path: Path) -> None:
    """Run on the one core of the family that there is; the C is the same."""
    pairs = numbers(24)
    rows = ", ".join(f"{{{left}ull, {right}ull}}" for left, right in pairs)
    main = f"""
    #include "board.h"
    uint32_t __udivsi3(uint32_t, uint32_t), __umodsi3(uint32_t, uint32_t);
    int32_t __divsi3(int32_t, int32_t), __modsi3(int32_t, int32_t);
    uint64_t __udivdi3(uint64_t, uint64_t), __umoddi3(uint64_t, uint64_t), __muldi3(uint64_t, uint64_t);
    int64_t __divdi3(int64_t, int64_t), __moddi3(int64_t, int64_t);
    uint64_t __umulsidi3(uint32_t, uint32_t);
    static const uint64_t pairs[][2] = {{{rows}}};
    static void tell(uint64_t number) {{
        uart_put_hex((uint32_t)(number >> 32)); uart_put_hex((uint32_t)number); uart_puts(" ");
    }}
    int main(void) {{
        board_init();
        for (unsigned n = 0; n < sizeof pairs / sizeof *pairs; n++) {{
            uint64_t a = pairs[n][0], b = pairs[n][1];
            uint32_t c = (uint32_t)a, d = (uint32_t)b;
            uart_puts("row ");
            tell(__udivsi3(c, d)); tell(__umodsi3(c, d)); tell((uint32_t)__divsi3((int32_t)c, (int32_t)d));
            tell((uint32_t)__modsi3((int32_t)c, (int32_t)d)); tell(__umulsidi3(c, d));
            tell(__udivdi3(a, b)); tell(__umoddi3(a, b)); tell((uint64_t)__divdi3((int64_t)a, (int64_t)b));
            tell((uint64_t)__moddi3((int64_t)a, (int64_t)b)); tell(__muldi3(a, b));
            uart_puts("\\r\\n");
        }}
        __asm__ volatile("wfi");
        return 0;
    }}
    """
    code, said, remarks = await simulate(packed("esp32c3", tmp_path, main, "xtensa/arithmetic.c"), "--timeout-s", "30")
    assert code == 0, remarks
    told = [
        [int(number.replace("0x", ""), 16) for number in line.split()[1:]]
        for line in said.splitlines()
        if line.startswith("row")
    ]
    assert told == [
        [
            *(part % 2**32 for part in (*divided(c, d), *divided(signed(c, 32), signed(d, 32)))),
            c * d,
            *(part % 2**64 for part in (*divided(a, b), *divided(signed(a, 64), signed(b, 64)), a * b)),
        ]
        for a, b in pairs
        for c, d in [(a % 2**32, b % 2**32)]
    ]


# -- the simulator


async def simulate(image: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *child.dying_with_owner([*SIMULATE, str(image), *arguments]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    said, remarks = await asyncio.wait_for(process.communicate(stdin), 30)
    assert process.returncode is not None
    return process.returncode, said.decode(), remarks.decode()


async def test_the_simulator_prints_what_the_board_prints(tmp_path: Path, build: Build) -> None:
    firmware = build("same", 'int main(void) { say("SAME EVERYWHERE\\n"); return 0; }')
    async with plugged_in(tmp_path / "run", holds=firmware) as bench:
        heard = await bench.line_after("run", b"EVERYWHERE\n")
    code, said, remarks = await simulate(firmware)
    assert code == 0
    assert said == heard.decode()
    assert "wfi" in remarks


async def test_the_simulator_ends_at_its_time_and_at_its_bytes(build: Build) -> None:
    firmware = build("flood", 'int main(void) { for (;;) say("0123456789"); }')
    code, said, remarks = await simulate(firmware, "--timeout-s", "30", "--max-bytes", "1000")
    assert (code, len(said)) == (0, 1000)
    assert "limit" in remarks
    code, said, remarks = await simulate(firmware, "--timeout-s", "0.5")
    assert code == 0
    assert "time is over" in remarks


async def test_stdin_goes_to_the_uart(build: Build) -> None:
    process = await asyncio.create_subprocess_exec(
        *child.dying_with_owner([*SIMULATE, str(build("echo", ECHO % "ECHO"))]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(b"ping\n")
        async with asyncio.timeout(30):
            await process.stdout.readuntil(b"HELLO ECHO\nping\n")
    finally:
        process.kill()
        await process.communicate()


async def test_a_delay_by_the_system_timer_takes_its_time(build: Build) -> None:
    main = (
        'int main(void) { say("A\\n"); unsigned t = now_us(); while (now_us() - t < 300000) ; say("B\\n"); return 0; }'
    )
    began_s = time.monotonic()
    code, said, _ = await simulate(build("delay", main))
    assert code == 0
    assert said.endswith("A\nB\n")
    assert time.monotonic() - began_s > 0.3


async def test_what_is_written_to_a_full_fifo_is_lost_and_told(build: Build) -> None:
    main = "int main(void) { for (int n = 0; n < 1000; n++) R(0x60000000) = 'x'; return 0; }"
    code, said, remarks = await simulate(build("full", main))
    assert code == 0
    assert 128 <= said.count("x") < 500
    assert re.search(r"\d+ bytes were written to a UART that had no room", remarks)


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ('__asm volatile(".word 0xffffffff");', "Illegal instruction"),
        ("R(0x10) = 1;", "Store access fault"),
        pytest.param("((void (*)(void))0x40000040)();", "Instruction access fault", marks=pytest.mark.long),
        pytest.param("say((char *)0x10);", "Load access fault", marks=pytest.mark.long),
    ],
)
async def test_a_crash_ends_the_simulator_with_its_own_code(build: Build, main: str, said: str) -> None:
    code, _, remarks = await simulate(build("crash", f"int main(void) {{ {main} return 0; }}"))
    assert code == 134
    assert f"Guru Meditation Error: Core  0 panic'ed ({said}. MEPC=" in remarks


async def test_an_app_with_a_trap_handler_handles_its_traps(build: Build) -> None:
    main = """
    __attribute__((interrupt("machine"), aligned(256))) void handler(void) {
        unsigned cause, pc;
        __asm volatile("csrr %0, mcause; csrr %1, mepc" : "=r"(cause), "=r"(pc));
        say("TRAP "); put('0' + cause); put('\\n');
        __asm volatile("csrw mepc, %0" : : "r"(pc + 4));
    }
    int main(void) {
        __asm volatile(".option norvc; csrw mtvec, %0; ecall; ebreak; lw zero, 16(zero); .word 0xffffffff" : : "r"(handler));
        say("SURVIVED\\n");
        return 0;
    }
    """
    code, said, remarks = await simulate(build("traps", main))
    assert code == 0, remarks
    assert said.endswith("TRAP ;\nTRAP 3\nTRAP 5\nTRAP 2\nSURVIVED\n")


async def test_an_image_that_the_rom_refuses_has_its_own_code(tmp_path: Path, build: Build) -> None:
    broken = tmp_path / "broken.bin"
    broken.write_bytes(b"not an image")
    code, said, remarks = await simulate(broken)
    assert code == 65
    assert "invalid header: 0x20746f6e" in said
    assert "refuses the image" in remarks
    damaged = bytearray(build("echo", ECHO % "ECHO").read_bytes())
    damaged[0x40] ^= 1
    broken.write_bytes(damaged)
    code, _, remarks = await simulate(broken)
    assert code == 65
    assert "csum err" in remarks
    code, _, remarks = await simulate(tmp_path / "nothing.bin")
    assert code == 66
