"""What the ROM does at a reset to run: read the image at flash offset 0, load it into RAM, jump."""

import msgspec

from benchwire.boards.virtual.esp32c3.image import Image, ImageError, parse
from benchwire.boards.virtual.esp32c3.nor import SIZE_BYTES, Nor
from benchwire.boards.virtual.esp32c3.sram import Sram, SramError

BANNER = "ESP-ROM:esp32c3-virtual\r\n"
DOWNLOAD_LOG = f"{BANNER}rst:0x1 (POWERON),boot:0x4 (DOWNLOAD(USB/UART0/1))\r\nwaiting for download\r\n"
RUN_LOG = f"{BANNER}rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n"


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a boot."""

    log: str  # what the ROM printed
    entry: int | None  # where the app starts; None when nothing was loaded
    refusal: str | None  # why nothing was loaded


def boot(nor: Nor, sram: Sram) -> Boot:
    """Load what the flash holds."""
    try:
        image = parse(nor.read(0, SIZE_BYTES))
        _load(image, sram)
    except ImageError as error:
        return Boot(log=f"{RUN_LOG}{error}\r\n", entry=None, refusal=str(error))
    return Boot(log=RUN_LOG + _told(image), entry=image.entry, refusal=None)


def _load(image: Image, sram: Sram) -> None:
    try:
        for segment in image.segments:
            if segment.address != 0:  # address 0 marks padding
                sram.write(segment.address, segment.data)
        sram.read(image.entry, 2)
    except SramError as error:
        raise ImageError(f"invalid image: {error}") from error


def _told(image: Image) -> str:
    lines = [f"mode:{image.mode}, clock div:{image.clock_divider}"]
    if image.calculated_sha256 is not None and image.calculated_sha256 != image.expected_sha256:
        # Without secure boot the hash warns of a damaged image and stops nothing.
        lines.append("SHA-256 comparison failed, attempting to boot anyway...")
    lines += [f"load:{segment.address:#010x},len:{len(segment.data):#x}" for segment in image.segments]
    lines.append(f"entry {image.entry:#010x}")
    return "".join(f"{line}\r\n" for line in lines)
