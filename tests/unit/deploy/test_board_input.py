"""What a person may say about boards and images, and what is said otherwise."""

from pathlib import Path

import pytest

from benchwire.deploy.hardware.asked import image, labels
from benchwire.events.journal import printable
from benchwire.pytest.wanted import Wanted, of_marker


def test_an_image_may_say_its_address(tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(b"x")
    assert image(f"{tmp_path}/app.bin").address is None
    assert image(f"{tmp_path}/app.bin@0x10000").address == 0x10000
    assert image(f"{tmp_path}/app.bin@4096").address == 4096


def test_a_file_whose_name_looks_like_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "app@7").write_bytes(b"x")
    assert image(f"{tmp_path}/app@7").address is None


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image(f"{tmp_path}/none.bin@0x1000")


def test_labels_are_pairs() -> None:
    assert labels(["rack=2", "note=a=b"]) == {"rack": "2", "note": "a=b"}
    with pytest.raises(ValueError, match="'rack'; it takes KEY=VALUE"):
        labels(["rack"])


def test_what_a_board_prints_cannot_take_over_the_terminal() -> None:
    assert printable("\x1b[2J\tok\x07é") == "\\x1b[2J\tok\\x07é"


def test_a_marker_says_what_board_a_test_wants() -> None:
    assert of_marker(pytest.mark.board("esp32c3", camera="yes", rack=2).mark) == Wanted(
        profile="esp32c3", labels={"camera": "yes", "rack": "2"}
    )
    assert of_marker(pytest.mark.board(device="esp-1", host="lab-2").mark) == Wanted(device="esp-1", host="lab-2")
    assert str(of_marker(pytest.mark.board("esp32c3", host="lab-2", rack=2).mark)) == "on lab-2 esp32c3 rack=2"


def test_a_marker_with_two_profiles_is_refused() -> None:
    with pytest.raises(pytest.UsageError, match="one profile"):
        of_marker(pytest.mark.board("esp32c3", "esp32").mark)
