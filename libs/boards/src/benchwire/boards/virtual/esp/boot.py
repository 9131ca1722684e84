"""What the ROM does at a reset to run: read the image where the chip looks for it, load it into RAM, jump."""

import msgspec

from benchwire.boards.virtual.esp.chips import Chip
from benchwire.boards.virtual.esp.image import Image, ImageError, parse
from benchwire.boards.virtual.esp.nor import SIZE_BYTES, Nor
from benchwire.boards.virtual.esp.ram import Ram, RamError

NOT_RUN = "the app is not run: this virtual board has no Xtensa core"


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a boot."""

    log: str  # what the ROM printed
    entry: int | None  # where the app starts; None when nothing was loaded
    refusal: str | None  # why nothing was loaded


def download_log(chip: Chip) -> str:
    """What the ROM prints when it stays in its loader."""
    return f"{_banner(chip, chip.download_told)}waiting for download\r\n"


def boot(chip: Chip, nor: Nor, ram: Ram) -> Boot:
    """Load what the flash holds."""
    banner = _banner(chip, chip.run_told)
    try:
        image = parse(nor.read(chip.boot_offset, SIZE_BYTES - chip.boot_offset), chip.identity)
        _load(image, ram)
    except ImageError as error:
        return Boot(log=f"{banner}{error}\r\n", entry=None, refusal=str(error))
    return Boot(log=banner + _told(image), entry=image.entry, refusal=None)


def _banner(chip: Chip, mode: str) -> str:
    return f"ESP-ROM:{chip.profile}-virtual\r\n{chip.reset_told},{mode}\r\n"


def _load(image: Image, ram: Ram) -> None:
    try:
        for segment in image.segments:
            if segment.address != 0:  # address 0 marks padding
                ram.write(segment.address, segment.data)
        ram.read(image.entry, 2)
    except RamError as error:
        raise ImageError(f"invalid image: {error}") from error


def _told(image: Image) -> str:
    lines = [f"mode:{image.mode}, clock div:{image.clock_divider}"]
    if image.calculated_sha256 is not None and image.calculated_sha256 != image.expected_sha256:
        # Without secure boot the hash warns of a damaged image and stops nothing.
        lines.append("SHA-256 comparison failed, attempting to boot anyway...")
    lines += [f"load:{segment.address:#010x},len:{len(segment.data):#x}" for segment in image.segments]
    lines.append(f"entry {image.entry:#010x}")
    return "".join(f"{line}\r\n" for line in lines)
