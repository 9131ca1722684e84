"""Flashes one ESP board with esptool, in a process of its own: ``python -m benchwire.flash_agent.tools.esptool_worker``.

The only module that imports esptool. It is GPL software, which the agent talks to over pipes and does not link; it keeps process-wide state,
and its blocking calls can only be ended by ending the process.
"""

import hashlib
import zlib
from typing import Any

import serial
from esptool.cmds import attach_flash, detect_chip, detect_flash_size, run_stub, write_flash
from esptool.util import FatalError, flash_size_bytes

from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools import images
from benchwire.flash_agent.tools.worker import Owner, ToolError, run
from benchwire.flash_agent.tools.worker_protocol import EsptoolOrder

ROM_BAUD = 115200


def flash(order: EsptoolOrder, image: bytes, owner: Owner) -> None:
    """Writes and verifies ``image``; the port is closed when the owner hears that it is verified."""
    verified_by = ""
    try:
        with detect_chip(order.port, ROM_BAUD, order.before) as rom:
            _check_chip(rom, order)
            esp = run_stub(rom)
            attach_flash(esp)
            _check_image(esp, order, image)
            if order.baud != ROM_BAUD and esp.IS_STUB:
                esp.change_baud(order.baud)
            verified_by = _written(esp, order, image, owner)
    except ImageRefused as error:
        raise ToolError(error.code, str(error)) from error
    except FatalError as error:
        raise ToolError(_code_of(owner), f"esptool: {error}") from error
    except (serial.SerialException, OSError) as error:
        raise ToolError("connection_lost", f"the serial port {order.port} failed: {error}") from error
    owner.verified(verified_by)


def _check_chip(esp: Any, order: EsptoolOrder) -> None:
    found = _chip_name(esp)
    if order.chip is not None and found != order.chip:
        raise ToolError("wrong_chip", f"the board was expected to have an {order.chip}, and has an {found}")
    if esp.secure_download_mode:
        # Nothing can be read back then, and what cannot be verified is not reported as flashed.
        raise ToolError(
            "cannot_verify", "the chip is in secure download mode, where what was written cannot be verified"
        )


def _chip_name(esp: Any) -> str:
    return str(esp.CHIP_NAME).lower().replace("-", "")


def _check_image(esp: Any, order: EsptoolOrder, image: bytes) -> None:
    real_bytes = flash_size_bytes(detect_flash_size(esp)) or order.flash_bytes
    if real_bytes is not None:
        images.fits(image, order.address, [(0, real_bytes)])
    boots_from = esp.BOOTLOADER_FLASH_OFFSET if order.boot_address is None else order.boot_address
    # Elsewhere in flash lie partition tables and data, which need not be images; what claims to be one has to be right.
    if order.address == boots_from or image[0] == images.ESP_MAGIC:
        images.esp_image(image, _chip_name(esp))


def _written(esp: Any, order: EsptoolOrder, image: bytes, owner: Owner) -> str:
    # A reconnect would go on with another loader object and without anybody hearing of it; a new attempt is the agent's decision.
    esp.WRITE_FLASH_ATTEMPTS = 1
    watched = _Watched(esp, image, owner)
    write_flash(
        esp, [(order.address, image)], flash_mode="keep", flash_freq="keep", flash_size="keep", compress=esp.IS_STUB
    )
    if watched.md5 != hashlib.md5(image, usedforsecurity=False).hexdigest():
        raise ToolError("verify_failed", "the chip computed no matching MD5 over what was written")
    return f"esptool: MD5 of {len(image)} bytes in flash at {order.address:#x}, computed by the chip"


class _Watched:
    """Stands between esptool and its loader object, to see what esptool is about to do. esptool's own progress counts compressed bytes."""

    def __init__(self, esp: Any, image: bytes, owner: Owner) -> None:
        self.md5: str | None = None
        self._esp = esp
        self._image = image
        self._owner = owner
        self._done_bytes = 0
        self._decompressor = zlib.decompressobj()
        self._original = {
            name: getattr(esp, name)
            for name in ("flash_begin", "flash_defl_begin", "flash_block", "flash_defl_block", "flash_md5sum")
        }
        for name in self._original:
            setattr(esp, name, getattr(self, name))

    def flash_begin(self, *arguments: Any, **named: Any) -> Any:
        """Erases (the ROM's loader all at once, the stub as it goes) and starts writing."""
        return self._begin("flash_begin", *arguments, **named)

    def flash_defl_begin(self, *arguments: Any, **named: Any) -> Any:
        """The same, for compressed data."""
        return self._begin("flash_defl_begin", *arguments, **named)

    def _begin(self, name: str, *arguments: Any, **named: Any) -> Any:
        self._done_bytes, self._decompressor = 0, zlib.decompressobj()
        self._owner.stage("erasing", flash_state="partial")
        result = self._original[name](*arguments, **named)
        self._owner.stage("writing", total_bytes=len(self._image))
        return result

    def flash_block(self, data: bytes, *arguments: Any, **named: Any) -> None:
        """Writes a block."""
        self._original["flash_block"](data, *arguments, **named)
        self._moved(len(data))

    def flash_defl_block(self, data: bytes, *arguments: Any, **named: Any) -> None:
        """Writes a compressed block."""
        self._original["flash_defl_block"](data, *arguments, **named)
        self._moved(len(self._decompressor.decompress(data)))

    def _moved(self, by_bytes: int) -> None:
        self._done_bytes += by_bytes
        self._owner.progress(self._done_bytes)

    def flash_md5sum(self, *arguments: Any, **named: Any) -> str:
        """The chip reads its flash and tells the MD5 of it."""
        self._owner.stage("verifying", flash_state="complete_unverified")
        self.md5 = str(self._original["flash_md5sum"](*arguments, **named))
        return self.md5


def _code_of(owner: Owner) -> str:
    return {"untouched": "connect_failed", "complete_unverified": "verify_failed"}.get(
        owner.flash_state, "write_failed"
    )


if __name__ == "__main__":
    run(EsptoolOrder, flash)
