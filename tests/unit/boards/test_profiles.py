"""Board profiles: data that the build, the simulator and the flash drivers all read."""

import re
from pathlib import Path

import msgspec
import pytest

from benchwire.boards import profile as profiles
from benchwire.boards.profile import (
    EspImage,
    Esptool,
    Module,
    NotFlashed,
    NotSimulated,
    Profile,
    Pyocd,
    Qemu,
    UnknownProfile,
)


@pytest.fixture(params=profiles.names())
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


@pytest.fixture(params=[name for name in profiles.names() if profiles.load(name).platformio is None])
def compiled(request: pytest.FixtureRequest) -> Profile:
    """Those that a compiler builds firmware for; the others are built by PlatformIO."""
    return profiles.load(request.param)


def test_a_profile_is_found_by_its_name(profile: Profile) -> None:
    assert profiles.load(profile.name) is profile
    assert (profiles.ROOT / profile.name / "profile.toml").is_file()


def test_an_alias_names_the_profile_that_serves_it() -> None:
    assert profiles.load("nrf51").name == "nrf51822"


def test_no_two_profiles_share_a_name_or_an_alias() -> None:
    every = [name for one in map(profiles.load, profiles.names()) for name in (one.name, *one.aliases)]
    assert len(set(every)) == len(every)


def test_an_unknown_profile_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(
        UnknownProfile, match=r"no board profile is called 'z80'; there are arduino_due, .*esp32, .*.*stm32f405"
    ):
        profiles.load("z80")


def test_a_board_that_nothing_simulates_is_refused_where_a_simulation_is_needed() -> None:
    assert profiles.load_simulated("esp32c3").name == "esp32c3"
    assert "esp32" not in profiles.simulated_names()
    with pytest.raises(
        NotSimulated, match=r"for esp32 honestly.*choose one of .*esp32c3, .*flash an image that you built"
    ):
        profiles.load_simulated("esp32")


def test_the_memory_of_a_profile_is_that_of_its_linker_script(compiled: Profile) -> None:
    script = (profiles.ROOT / compiled.linker_script).read_text()
    rows = re.findall(r"(\w+) \(\w+\)\s*: ORIGIN = (\w+), LENGTH = (\d+)K", script)
    assert {name: (int(origin, 16), int(kib) * 1024) for name, origin, kib in rows} == {
        name: (region.origin, region.size_bytes) for name, region in compiled.memory.items()
    }


def test_the_notes_name_every_call_that_the_board_header_offers_for_printing(compiled: Profile) -> None:
    header = (profiles.ROOT / "common/board.h").read_text()
    for call in re.findall(r"\b(uart_\w+|board_init|delay_ms)\(", header):
        assert call in compiled.notes_for_model
    assert f'"{compiled.name}"' in compiled.notes_for_model


def test_only_sources_are_given_to_the_compiler(compiled: Profile) -> None:
    argv = compiled.compile_argv(["main.c"], include="board", linker_script="board/link.ld", output="firmware.elf")
    assert argv[0].endswith("-gcc")
    assert {"-Wall", "-Wextra", "-ffreestanding", "-nostdlib", f'-DBOARD_NAME="{compiled.name}"'} <= set(argv)
    assert not [file for file in compiled.support_sources if file.endswith((".h", ".ld"))]


def test_qemu_gets_no_semihosting_no_devices_and_its_own_fence() -> None:
    simulator = profiles.load("stm32f405").simulator
    assert isinstance(simulator, Qemu)
    argv = simulator.argv("firmware.bin")
    assert not [word for word in argv if "semihosting" in word or "net" in word.removeprefix("netduinoplus2")]
    assert "-nodefaults" in argv
    assert argv[argv.index("-sandbox") + 1] == "on,spawn=deny,obsolete=deny,resourcecontrol=deny"


def test_an_image_is_flashed_where_the_chip_boots_from() -> None:
    stm32 = profiles.load("stm32f405")
    assert isinstance(stm32.driver, Pyocd)
    assert stm32.firmware_address == stm32.driver.address == stm32.memory["FLASH"].origin
    for name, offset in {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0}.items():
        profile = profiles.load(name)
        assert isinstance(profile.driver, Esptool)
        assert isinstance(profile.image, EspImage)
        assert (profile.driver.chip, profile.driver.offset) == (profile.image.chip, offset)
        assert profile.firmware_address == offset
        assert profile.driver.flash_size in profile.image.arguments
    rp2040 = profiles.load("rp2040")
    assert isinstance(rp2040.driver, profiles.Uf2)
    assert rp2040.firmware_address == rp2040.driver.address


def test_a_missing_tool_is_said_with_its_package(compiled: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    lacking = profiles.missing(compiled)
    assert {one.package for one in lacking} >= {compiled.compiler.package}
    assert str(lacking[0]) == (
        f"{compiled.compiler.gcc} is missing (compiles for {compiled.name}): install {compiled.compiler.package}"
    )
    if isinstance(compiled.simulator, Qemu):
        assert compiled.simulator.package in {one.package for one in lacking}
    can = profiles.ability(compiled)
    assert not can.can_build
    assert can.missing[: len(lacking)] == [str(one) for one in lacking]


@pytest.mark.parametrize(
    "name",
    [
        "stm32f103c8", "stm32f401re", "stm32f407vg", "stm32l476rg", "esp32", "esp32s3", "esp32c3", "arduino_uno", "arduino_nano",
        "arduino_mega", "arduino_due", "lm3s6965",
    ],
)  # fmt: skip
def test_a_board_that_clients_name_is_a_profile_with_its_own_limits(name: str) -> None:
    kib = {
        "stm32f103c8": (64, 20), "stm32f401re": (512, 96), "stm32f407vg": (1024, 128), "stm32l476rg": (1024, 128),
        "arduino_uno": (32, 2), "arduino_nano": (32, 2), "arduino_mega": (256, 8), "arduino_due": (512, 96), "lm3s6965": (256, 64),
    }  # fmt: skip
    profile = profiles.load(name)
    assert profile.name == name
    if name in kib:
        assert (profile.flash.size_bytes, profile.ram_limit_bytes) == tuple(1024 * one for one in kib[name])


def test_a_chip_that_is_a_sibling_in_another_coat_is_known_under_the_siblings_name() -> None:
    """An identified chip says no more: were both names boards, hosts would not know which of them is attached."""
    f407, l476 = profiles.load("stm32f407vg"), profiles.load("stm32l476rg")
    assert (f407.board, l476.board) == ("stm32f405", "stm32l475")
    assert {"stm32f405", "stm32l475"} <= set(profiles.board_names())
    assert {"stm32f407vg", "stm32l476rg", "esp32_arduino"}.isdisjoint(profiles.board_names())
    for name in profiles.names():
        profile = profiles.load(name)
        assert profiles.load(profile.board).board == profile.board
        assert type(profile.driver) is type(profiles.load(profile.board).driver)


def test_a_board_that_nothing_flashes_says_why_and_is_refused_where_it_has_to_be_flashed() -> None:
    lm3s = profiles.load_simulated("lm3s6965")
    assert lm3s.driver is None
    with pytest.raises(NotFlashed, match="nothing here flashes lm3s6965 boards: pyocd has no built-in target"):
        profiles.load_flashed("lm3s6965")
    with pytest.raises(NotFlashed):
        _ = lm3s.firmware_address
    can = profiles.ability(lm3s)
    assert not can.can_flash
    assert can.missing[-1] == str(NotFlashed(lm3s))
    assert profiles.load_flashed("stm32f405").name == "stm32f405"


def test_a_compiler_without_its_library_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("gcc", "objcopy"):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / f"avr-{tool}").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    uno = msgspec.structs.replace(profiles.load("arduino_uno"), simulator=None)
    assert [str(one) for one in profiles.missing(uno)] == [
        "lib/avr/include/avr/io.h is missing (the C library of avr-gcc): install gcc-avr avr-libc"
    ]
    (tmp_path / "avr/include/avr").mkdir(parents=True)
    (tmp_path / "avr/include/avr/io.h").touch()
    assert profiles.missing(uno) == []


def test_the_avr_simulator_is_missed_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    uno = profiles.load("arduino_uno")
    assert isinstance(uno.simulator, Module)
    absent = msgspec.structs.replace(uno.simulator, engine="libsimavr.so.not-there")
    lacking = profiles.missing(msgspec.structs.replace(uno, simulator=absent))
    assert str(lacking[-1]) == "libsimavr.so.not-there is missing (simulates arduino_uno): install simavr"


def test_who_only_builds_needs_no_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("gcc", "objcopy"):
        (tmp_path / f"arm-none-eabi-{tool}").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    profile = profiles.load("stm32f405")
    assert profiles.missing_to_build(profile) == []
    assert [one.tool for one in profiles.missing(profile)] == ["qemu-system-arm"]


def test_firmware_beyond_the_ram_of_its_simulator_is_told_from_the_image_alone() -> None:
    c8 = profiles.load("stm32f103c8")
    assert c8.beyond_simulator((0x2000_2000).to_bytes(4, "little") + bytes(4)) is None
    assert c8.beyond_simulator(b"") is None
    told = c8.beyond_simulator((0x2000_2004).to_bytes(4, "little") + bytes(4))
    assert told is not None
    assert "uses 8196 bytes of RAM" in told
    assert profiles.load("stm32f405").beyond_simulator(b"\xff" * 8) is None


def test_a_simulator_module_exists_under_the_name_its_profile_gives() -> None:
    simulator = profiles.load("esp32c3").simulator
    assert isinstance(simulator, Module)
    pytest.importorskip(simulator.engine, reason="the virtual extra is not installed")
    assert pytest.importorskip(simulator.module)
