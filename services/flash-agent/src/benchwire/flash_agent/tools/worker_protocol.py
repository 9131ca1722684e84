"""What the agent and a flash tool's process say to each other: one JSON object per line.

The agent first sends an order and, right behind its line, the bytes of the image; then commands. The tool says where it is. Everything it
says carries ``flash_state``, and it is said before the flash gets into that state: whoever reads the last line knows the worst.
"""

from typing import Literal

import msgspec

FlashState = Literal["untouched", "partial", "complete_unverified", "complete"]
Stage = Literal["connecting", "erasing", "writing", "verifying", "resetting"]

STAGES: tuple[Stage, ...] = ("connecting", "erasing", "writing", "verifying", "resetting")


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="tool"):
    """``size_bytes`` of image follow the order's line. They belong at ``address``. ``flash_bytes`` is the size of the flash, if known."""

    address: int
    size_bytes: int
    flash_bytes: int | None = None


class EsptoolOrder(Order, frozen=True, kw_only=True, tag="esptool"):
    """``chip`` is what the board must have, in esptool's spelling (``esp32c3``); ``before`` is esptool's way into the loader.

    ``baud`` is used once the chip runs the tool's own loader. At ``boot_address`` only a bootable image is taken.
    """

    port: str
    before: str
    chip: str | None = None
    baud: int = 115200
    boot_address: int | None = None


class PyocdOrder(Order, frozen=True, kw_only=True, tag="pyocd"):
    """``probe`` is pyocd's unique id, ``target`` its target type."""

    probe: str
    target: str


class Command(msgspec.Struct, frozen=True):
    """``go``: boot the board now. ``pause``, ``resume`` and ``cancel`` take effect between two blocks."""

    do: Literal["go", "pause", "resume", "cancel"]


class Said(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """Anything a tool says."""

    flash_state: FlashState


class At(Said, frozen=True, kw_only=True, tag="at"):
    """How far the tool is in its stage; ``total_bytes`` is 0 when that cannot be measured."""

    stage: Stage
    done_bytes: int = 0
    total_bytes: int = 0


class Paused(Said, frozen=True, kw_only=True, tag="paused"):
    """The tool holds between two blocks."""


class Resumed(Said, frozen=True, kw_only=True, tag="resumed"):
    """The tool goes on."""


class Verified(Said, frozen=True, kw_only=True, tag="verified"):
    """The flash holds the image; the tool waits for ``go``. A tool that used the board's serial port has closed it."""

    verified_by: str


class Done(Said, frozen=True, kw_only=True, tag="done"):
    """The tool has done all of its part."""


class Failed(Said, frozen=True, kw_only=True, tag="failed"):
    """The tool gave up: ``code`` for programs, ``error`` for people."""

    code: str
    error: str


Saying = At | Paused | Resumed | Verified | Done | Failed
AnyOrder = EsptoolOrder | PyocdOrder
