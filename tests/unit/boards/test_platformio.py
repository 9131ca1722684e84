"""PlatformIO on a host: what counts as there, and what is said when it is not. No build is run here."""

from pathlib import Path

import pytest

from benchwire.boards import platformio
from benchwire.boards import profile as profiles

PACKAGES = ("tool-scons", "framework-arduino-sam")


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with the command, and with nothing installed."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(tmp_path / "core"))
    for moved in ("PLATFORMIO_PLATFORMS_DIR", "PLATFORMIO_PACKAGES_DIR"):
        monkeypatch.delenv(moved, raising=False)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pio").touch(mode=0o755)
    return tmp_path / "core"


def installed(folder: Path, manifest: str) -> None:
    folder.mkdir(parents=True)
    (folder / manifest).write_text("{}")


def missing() -> list[str]:
    return [str(one) for one in profiles.missing(profiles.load("arduino_due"))]


def test_without_the_command_it_is_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert missing() == ["pio is missing (builds for arduino_due): install platformio"]


def test_the_command_alone_is_not_enough(core: Path) -> None:
    (sentence,) = missing()
    assert sentence == (
        "PlatformIO's atmelsam, tool-scons, framework-arduino-sam is missing (builds for arduino_due): install the platform atmelsam with "
        "the framework arduino, by pio pkg install in a project for the board due"
    )


def test_a_platform_without_its_framework_would_have_to_download_it(core: Path) -> None:
    installed(core / "platforms" / "atmelsam", "platform.json")
    installed(core / "packages" / "tool-scons", "package.json")
    assert "PlatformIO's framework-arduino-sam is missing" in missing()[0]
    (core / "packages" / "framework-arduino-sam").mkdir()  # an installation that was broken off
    assert "PlatformIO's framework-arduino-sam is missing" in missing()[0]


def test_one_of_several_versions_will_do_and_folders_may_have_been_moved(
    core: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(core.parent / "elsewhere" / "atmelsam@8.2.0", "platform.json")
    monkeypatch.setenv("PLATFORMIO_PLATFORMS_DIR", str(core.parent / "elsewhere"))
    for name in PACKAGES:
        installed(core / "packages" / name, "package.json")
    assert missing() == []
    can = profiles.ability(profiles.load("arduino_due"))
    assert (can.can_build, can.can_simulate, can.can_flash) == (True, False, False)
    assert [sentence.split(" boards")[0] for sentence in can.missing[1:]] == ["nothing here flashes arduino_due"]


def test_a_framework_is_no_kind_of_board_of_its_own() -> None:
    arduino = profiles.load("esp32_arduino")
    assert (arduino.name, arduino.board, arduino.firmware_address) == ("esp32_arduino", "esp32", 0)
    with pytest.raises(profiles.NotSimulated):
        profiles.load_simulated("esp32_arduino")
    with pytest.raises(ValueError, match="is built by PlatformIO, not by a compiler alone"):
        _ = arduino.compiler


def test_an_image_has_its_pieces_where_the_chip_looks_for_them() -> None:
    project = profiles.load("esp32_arduino").platformio
    assert project is not None
    image = project.image({"firmware.bin": b"program", "bootloader.bin": b"boot", "partitions.bin": b"table"})
    assert (image[0x1000:0x1005], image[0x8000:0x8005], image[0x10000:]) == (b"boot\xff", b"table", b"program")
    assert set(image[:0x1000]) == {0xFF}
    with pytest.raises(platformio.PiecesOverlap, match=r"what comes before partitions\.bin is 1 bytes too long"):
        project.image({"firmware.bin": b"program", "bootloader.bin": bytes(0x7001), "partitions.bin": b"table"})


def test_the_projects_file_names_what_is_installed() -> None:
    project = profiles.load("arduino_due").platformio
    assert project is not None
    assert project.project("arduino_due").splitlines() == [
        "[env:board]", "platform = atmelsam", "board = due", "framework = arduino", """build_flags = '-DBOARD_NAME="arduino_due"'""",
    ]  # fmt: skip
