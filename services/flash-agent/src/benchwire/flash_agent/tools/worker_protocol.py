"""What the agent and a flash tool's process say to each other: one JSON object per line.

The agent first sends an order and, right behind its line, the bytes of all its segments, one after the other; then commands. The tool says
where it is. Everything it says carries ``flash_state``, and it is said before the flash gets into that state: whoever reads the last line
knows the worst.
"""

from typing import Literal, get_args

import msgspec

from benchwire.flash_agent.tools.chips import Chip

FlashState = Literal["untouched", "partial", "complete_unverified", "complete"]
Stage = Literal["connecting", "erasing", "writing", "verifying", "resetting"]
Erase = Literal["needed", "chip"]
Do = Literal["go", "pause", "resume", "cancel", "throttle"]

STAGES: tuple[Stage, ...] = get_args(Stage)


class Segment(msgspec.Struct, frozen=True):
    """``size_bytes`` of image that belong at ``address``.

    With ``partition``, the address is where that partition begins, in the table that the board has or gets with this very job.
    """

    address: int
    size_bytes: int
    partition: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="tool"):
    """What to flash. ``flash_bytes`` is the size of the flash, if known; ``max_bytes_per_s`` counts bytes of the image, not of the line.

    ``erase`` is "needed" (the sectors that are written) or "chip" (everything, first).
    """

    segments: list[Segment]
    flash_bytes: int | None = None
    erase: Erase = "needed"
    max_bytes_per_s: int | None = None

    @property
    def size_bytes(self) -> int:
        """All bytes that follow the order's line."""
        return sum(one.size_bytes for one in self.segments)


class EsptoolOrder(Order, frozen=True, kw_only=True, tag="esptool"):
    """``chip`` is what the board must have, in esptool's spelling (``esp32c3``); ``before`` is esptool's way into the loader.

    ``baud`` is used once the chip runs the tool's own loader. At ``boot_address`` only a bootable image is taken. ``flash_size``,
    ``flash_mode`` and ``flash_freq`` go into the header of that image (``keep``: as it is; the size may be ``detect``). Without ``stub``,
    the loader in the chip's ROM does the work: slower, never compressed.
    """

    port: str
    before: str
    chip: str | None = None
    baud: int = 115200
    boot_address: int | None = None
    flash_size: str = "keep"
    flash_mode: str = "keep"
    flash_freq: str = "keep"
    compress: bool = True
    stub: bool = True


class PyocdOrder(Order, frozen=True, kw_only=True, tag="pyocd"):
    """``probe`` is pyocd's unique id, ``target`` its target type, ``chip`` what must be found behind the probe, if that can be asked."""

    probe: str
    target: str
    chip: Chip | None = None


class Uf2Order(Order, frozen=True, kw_only=True, tag="uf2"):
    """``drive`` is where the boot loader's drive appears; None when it has to be looked for among what is mounted.

    ``board_id`` is what the drive says of itself, ``family`` the chip's id in UF2 blocks, ``sector_bytes`` what its loader erases at once.
    """

    board_id: str
    family: int
    sector_bytes: int
    drive: str | None = None


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """``go``: boot the board now. ``pause``, ``resume`` and ``cancel`` take effect between two blocks.

    ``throttle``: no more than ``max_bytes_per_s`` of image from now on; None takes the limit away.
    """

    do: Do
    max_bytes_per_s: int | None = None


class Said(msgspec.Struct, frozen=True, kw_only=True, tag_field="say"):
    """Anything a tool says."""

    flash_state: FlashState


class At(Said, frozen=True, kw_only=True, tag="at"):
    """How far the tool is in its stage; ``total_bytes`` is 0 when that cannot be measured.

    ``spent_s`` is for how long the stage has been under way, without the time that the tool held.
    """

    stage: Stage
    done_bytes: int = 0
    total_bytes: int = 0
    spent_s: float = 0.0


class Paused(Said, frozen=True, kw_only=True, tag="paused"):
    """The tool holds between two blocks."""


class PauseDeferred(Said, frozen=True, kw_only=True, tag="pause_deferred"):
    """The tool was asked to hold and cannot yet: it is busy in ``stage`` until ``until``, the end of a sentence (``the chip is erased``)."""

    stage: Stage
    until: str


class Resumed(Said, frozen=True, kw_only=True, tag="resumed"):
    """The tool goes on."""


class Throttled(Said, frozen=True, kw_only=True, tag="throttled"):
    """The limit holds from now on, with the next block."""

    max_bytes_per_s: int | None


class Verified(Said, frozen=True, kw_only=True, tag="verified"):
    """The flash holds the image; the tool waits for ``go``. A tool that used the board's serial port has closed it."""

    verified_by: str


class Done(Said, frozen=True, kw_only=True, tag="done"):
    """The tool has done all of its part."""


class Failed(Said, frozen=True, kw_only=True, tag="failed"):
    """The tool gave up: ``code`` for programs, ``error`` for people."""

    code: str
    error: str


Saying = At | Paused | PauseDeferred | Resumed | Throttled | Verified | Done | Failed
AnyOrder = EsptoolOrder | PyocdOrder | Uf2Order


def tool_of(order: Order) -> str:
    """The name of the tool that an order is for: ``esptool``, ``pyocd``, ``uf2``."""
    return str(type(order).__struct_config__.tag)
