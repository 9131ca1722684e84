"""Board profiles: data that the build, the simulator and the flash drivers all read."""

import re

import pytest

from benchwire.boards import profile as profiles
from benchwire.boards.profile import EspImage, Esptool, Module, NotSimulated, Profile, Pyocd, Qemu, UnknownProfile


@pytest.fixture(params=profiles.names())
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


def test_a_profile_is_found_by_its_name(profile: Profile) -> None:
    assert profiles.load(profile.name) is profile
    assert (profiles.ROOT / profile.name / "profile.toml").is_file()


def test_an_alias_names_the_profile_that_serves_it() -> None:
    assert profiles.load("stm32f407vg").name == "stm32f405"


def test_no_two_profiles_share_a_name_or_an_alias() -> None:
    every = [name for one in map(profiles.load, profiles.names()) for name in (one.name, *one.aliases)]
    assert len(set(every)) == len(every)


def test_an_unknown_profile_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(
        UnknownProfile, match=r"no board profile is called 'z80'; there are esp32, esp32c3, .*stm32f405"
    ):
        profiles.load("z80")


def test_a_board_that_nothing_simulates_is_refused_where_a_simulation_is_needed() -> None:
    assert profiles.load_simulated("esp32c3").name == "esp32c3"
    assert "esp32" not in profiles.simulated_names()
    with pytest.raises(
        NotSimulated, match=r"for esp32 honestly.*choose one of esp32c3, .*flash an image that you built"
    ):
        profiles.load_simulated("esp32")


def test_the_memory_of_a_profile_is_that_of_its_linker_script(profile: Profile) -> None:
    script = (profiles.ROOT / profile.linker_script).read_text()
    rows = re.findall(r"(\w+) \(\w+\)\s*: ORIGIN = (\w+), LENGTH = (\d+)K", script)
    assert {name: (int(origin, 16), int(kib) * 1024) for name, origin, kib in rows} == {
        name: (region.origin, region.size_bytes) for name, region in profile.memory.items()
    }


def test_the_notes_name_every_call_that_the_board_header_offers_for_printing(profile: Profile) -> None:
    header = (profiles.ROOT / "common/board.h").read_text()
    for call in re.findall(r"\b(uart_\w+|board_init|delay_ms)\(", header):
        assert call in profile.notes_for_model


def test_only_sources_are_given_to_the_compiler(profile: Profile) -> None:
    argv = profile.compile_argv(["main.c"], include="board", linker_script="board/link.ld", output="firmware.elf")
    assert argv[0].endswith("-gcc")
    assert {"-Wall", "-Wextra", "-ffreestanding", "-nostdlib", f'-DBOARD_NAME="{profile.name}"'} <= set(argv)
    assert not [file for file in profile.support_sources if file.endswith(".h")]


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


def test_a_missing_tool_is_said_with_its_package(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    lacking = profiles.missing(profile)
    assert {one.package for one in lacking} >= {profile.compiler.package}
    assert str(lacking[0]) == (
        f"{profile.compiler.gcc} is missing (compiles for {profile.name}): install {profile.compiler.package}"
    )
    if isinstance(profile.simulator, Qemu):
        assert profile.simulator.package in {one.package for one in lacking}


def test_a_simulator_module_exists_under_the_name_its_profile_gives() -> None:
    simulator = profiles.load("esp32c3").simulator
    assert isinstance(simulator, Module)
    pytest.importorskip(simulator.engine, reason="the virtual extra is not installed")
    assert pytest.importorskip(simulator.module)
