"""From what was asked for to bytes with places, before a device is touched."""

import pytest

from benchwire.boards import profile as profiles
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashOptions, FlashPart, FlashRequested
from benchwire.events.testing.samples import sample
from benchwire.flash_agent.errors import ImageRefused, NoDriver, WrongBoard
from benchwire.flash_agent.preparing import MAX_FILE_BYTES, _limit_bytes, _pieces
from benchwire.flash_agent.probes import Device
from benchwire.flash_agent.tools import drivers
from benchwire.flash_agent.tools.pieces import Piece
from benchwire.flash_agent.tools.worker_protocol import EsptoolOrder, PyocdOrder, Segment

ESP, STM32 = profiles.load("esp32c3"), profiles.load("stm32f405")
HEX = b":0400100064617461A8\n:00000001FF\n".replace(b"A8", b"%02X" % (-(4 + 0x10 + sum(b"data")) & 0xFF))


def artifact(name: str = "firmware.bin") -> Artifact:
    return Artifact(digest="0" * 64, size_bytes=1, name=name)


def request(**fields: object) -> FlashRequested:
    known: dict[str, object] = {
        "parts": [],
        "format": None,
        "partition": None,
        "options": FlashOptions(),
        "max_bytes_per_s": None,
        "profile": None,
    }
    made = sample(FlashRequested, **{**known, **fields})
    assert isinstance(made, FlashRequested)
    return made


def pieces(asked: FlashRequested, *files: bytes, profile: profiles.Profile | None = ESP) -> list[Piece]:
    parts = asked.parts or [FlashPart(image=asked.image, address=asked.address)]
    return _pieces(asked, parts, list(files), profile)


def test_parts_keep_their_addresses_and_the_first_goes_into_the_partition() -> None:
    parts = [FlashPart(image=artifact(), address=0), FlashPart(image=artifact(), address=0x9000)]
    assert pieces(request(parts=parts, partition="nvs"), b"first", b"second") == [
        Piece(0, b"first", "nvs"),
        Piece(0x9000, b"second"),
    ]


def test_a_hex_file_for_an_esp_begins_its_sectors() -> None:
    assert pieces(request(address=7), HEX, profile=None) == [Piece(0, b"\xff" * 16 + b"data")]


@pytest.mark.parametrize(
    ("asked", "content", "profile", "why"),
    [
        (request(partition="nvs"), HEX, ESP, "says itself where its bytes belong"),
        (request(address=0x08000000, partition="nvs"), b"data", STM32, "only ESP boards"),
        (request(address=0x100), b"data", ESP, "not where a sector"),
        (request(address=0x08000000, format="elf"), b"no elf", STM32, "ELF file is damaged"),
    ],
)
def test_what_cannot_be_is_refused_before_the_board_is_touched(
    asked: FlashRequested, content: bytes, profile: profiles.Profile, why: str
) -> None:
    with pytest.raises(ImageRefused, match=why):
        pieces(asked, content, profile=profile)


def test_a_file_with_symbols_may_be_larger_than_the_flash() -> None:
    assert _limit_bytes(request(), artifact("a.bin"), 1000) == 1000
    assert _limit_bytes(request(), artifact("a.ELF"), 1000) == MAX_FILE_BYTES
    assert _limit_bytes(request(format="hex"), artifact("a"), 1000) == MAX_FILE_BYTES
    assert _limit_bytes(request(format="bin"), artifact("a.elf"), 1000) == 1000


def test_the_tool_is_told_everything_that_was_asked_for() -> None:
    asked = request(options=FlashOptions(erase="chip", flash_mode="qio", stub=False), max_bytes_per_s=5000)
    board = Device(name="b", port="/dev/ttyUSB0")
    order = drivers.order_for(board, ESP, asked, [Piece(0x9000, b"data"), Piece(0, b"app", "ota_0")])
    assert isinstance(order, EsptoolOrder)
    assert order.segments == [Segment(0x9000, 4), Segment(0, 3, "ota_0")]
    assert (order.erase, order.flash_mode, order.stub, order.max_bytes_per_s) == ("chip", "qio", False, 5000)
    assert (order.before, order.chip, order.size_bytes) == ("default-reset", "esp32c3", 7)

    with pytest.raises(NoDriver, match="debug probe"):
        drivers.order_for(board, STM32, asked, [])
    probed = drivers.order_for(Device(name="b", probe="1"), STM32, asked, [])
    assert isinstance(probed, PyocdOrder)
    assert probed.chip is not None


def test_a_board_that_nothing_flashes_is_refused_with_the_reason() -> None:
    board = Device(name="b", port="/dev/ttyUSB0", profile="arduino_uno")
    asked = request()
    with pytest.raises(NoDriver, match=r"nothing here flashes arduino_uno boards: .*avrdude"):
        drivers.order_for(board, drivers.profile_of(board, asked), asked, [])


def test_an_image_for_a_chip_of_another_name_goes_onto_the_board_that_has_it() -> None:
    board = Device(name="b", probe="1", profile="stm32f405")
    known = drivers.profile_of(board, request(profile="stm32f407vg"))
    assert known is STM32
    with pytest.raises(WrongBoard, match="the image is for a stm32f401re, and b is a stm32f405"):
        drivers.profile_of(board, request(profile="stm32f401re"))
