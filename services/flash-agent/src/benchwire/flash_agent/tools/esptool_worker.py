"""Flashes one ESP board with esptool, in a process of its own: ``python -m benchwire.flash_agent.tools.esptool_worker``.

This and ``identify_worker`` are the only modules that import esptool. It is GPL software, which the agent talks to over pipes and does not
link; it keeps process-wide state, and its blocking calls can only be ended by ending the process.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import serial
from esptool.cmds import attach_flash, detect_chip, detect_flash_size, run_stub
from esptool.util import FatalError, flash_size_bytes

from benchwire.flash_agent.errors import FlashError, ImageRefused, NoPartition
from benchwire.flash_agent.tools import esp_writing, images, partitions
from benchwire.flash_agent.tools.esp_loader import ROM_BAUD, chip_name, use_quick_ports
from benchwire.flash_agent.tools.pieces import Piece, places_of, size_of, split
from benchwire.flash_agent.tools.worker import Owner, ToolError, pieces_of, run
from benchwire.flash_agent.tools.worker_protocol import EsptoolOrder

VERIFY_BYTES = 1 << 20  # what the chip is asked for the MD5 of at once: a second or two, in which nobody can be heard

use_quick_ports()


def flash(order: EsptoolOrder, image: bytes, owner: Owner) -> None:
    """Writes and verifies ``image``; the port is closed when the owner hears that it is verified."""
    with _told_by_code(order, owner):
        with detect_chip(order.port, ROM_BAUD, order.before) as rom:
            verified_by = _flash(rom, order, pieces_of(order, image), owner)
        owner.keep_alive = None
    owner.verified(verified_by)


def _flash(rom: Any, order: EsptoolOrder, pieces: list[Piece], owner: Owner) -> str:
    _check_chip(rom, order, pieces)
    esp = run_stub(rom) if order.stub else rom
    attach_flash(esp)
    if order.baud != ROM_BAUD and esp.IS_STUB:
        esp.change_baud(order.baud)
    real_bytes = flash_size_bytes(detect_flash_size(esp)) or order.flash_bytes
    if real_bytes is not None:
        esp.flash_set_parameters(real_bytes)
    pieces = _checked(esp, order, pieces, real_bytes)
    # Any command will do; this one only reads, and works in the middle of a write.
    owner.keep_alive = lambda: esp.read_reg(esp.CHIP_DETECT_MAGIC_REG_ADDR)
    if order.erase == "chip":
        if real_bytes is None:
            raise ToolError(
                "option_refused", "the size of the flash is not known, so that it cannot be erased as a whole"
            )
        esp_writing.erase_chip(esp, real_bytes, owner)
    esp_writing.write(esp, pieces, owner, compress=order.compress)
    return _verified(esp, pieces, owner)


@contextlib.contextmanager
def _told_by_code(order: EsptoolOrder, owner: Owner) -> Iterator[None]:
    """What goes wrong, as the agent is told of it."""
    try:
        yield
    except FlashError as error:
        raise ToolError(error.code, str(error)) from error
    except FatalError as error:
        said = " ".join(str(error).split())
        if "exclusively lock" in said:  # pyserial's word for it, in the middle of esptool's
            said = f"another program has {order.port} open; close it (`fuser {order.port}` tells which it is)"
        raise ToolError(_code_of(owner), f"esptool: {said}") from error
    except (serial.SerialException, OSError) as error:
        code = "connect_failed" if owner.flash_state == "untouched" else "connection_lost"
        raise ToolError(code, f"the serial port {order.port} failed: {error}") from error


def _code_of(owner: Owner) -> str:
    return {"untouched": "connect_failed", "complete_unverified": "verify_failed"}.get(
        owner.flash_state, "write_failed"
    )


# -- before anything is written


def _check_chip(esp: Any, order: EsptoolOrder, pieces: list[Piece]) -> None:
    found = chip_name(esp)
    if order.chip is not None and found != order.chip:
        raise ToolError("wrong_chip", f"the board was expected to have an {order.chip}, and has an {found}")
    if esp.secure_download_mode:
        # Nothing can be read back then, and what cannot be verified is not reported as flashed.
        raise ToolError(
            "cannot_verify", "the chip is in secure download mode, where what was written cannot be verified"
        )
    if esp.get_flash_encryption_enabled():
        raise ToolError("chip_protected", "the chip encrypts its flash: it could not read what would be written plain")
    if esp.get_secure_boot_v1_enabled() and any(
        piece.partition is None and piece.address < partitions.TABLE_ADDRESS for piece in pieces
    ):
        raise ToolError(
            "chip_protected", "the chip has secure boot: with another boot loader it would never start again"
        )


def _checked(esp: Any, order: EsptoolOrder, pieces: list[Piece], real_bytes: int | None) -> list[Piece]:
    """``pieces`` at their places, as they go into the flash; everything is asked that the chip can tell."""
    boot_address = esp.BOOTLOADER_FLASH_OFFSET if order.boot_address is None else order.boot_address
    table = images.esp_table(pieces, real_bytes)
    if not table and any(piece.partition is not None for piece in pieces):
        table = _table_of(esp, real_bytes)
    pieces = images.resolved(pieces, table)
    images.esp(
        pieces, chip=chip_name(esp), boot_address=boot_address, flash_bytes=real_bytes, table=table,
        revision=esp.get_chip_revision(),
    )  # fmt: skip
    return [Piece(one.address, _as_written(esp, order, one, boot_address, real_bytes)) for one in sorted(pieces)]


def _as_written(esp: Any, order: EsptoolOrder, piece: Piece, boot_address: int, real_bytes: int | None) -> bytes:
    data = piece.data
    if piece.address == boot_address:
        data = _with_parameters(esp, order, data, real_bytes)
    return data + b"\xff" * (-len(data) % 4)


def _table_of(esp: Any, real_bytes: int | None) -> list[partitions.Partition]:
    """The partition table that the board has. Raises ``NoPartition``."""
    rows = esp.read_flash(partitions.TABLE_ADDRESS, partitions.TABLE_BYTES, None)
    try:
        table = partitions.parse(rows)
        if real_bytes is not None:
            partitions.fit(table, real_bytes)
    except ImageRefused as error:
        raise NoPartition(
            f"what the board has at {partitions.TABLE_ADDRESS:#x} cannot tell where its partitions are ({error}); "
            f"flash a partition table there, in the same job"
        ) from error
    return table


def _with_parameters(esp: Any, order: EsptoolOrder, image: bytes, real_bytes: int | None) -> bytes:
    size = detect_flash_size(esp) or "keep" if order.flash_size == "detect" else order.flash_size
    if (size, order.flash_mode, order.flash_freq) == ("keep",) * 3:
        return image
    if esp.get_secure_boot_enabled():
        raise ToolError(
            "option_refused", "the chip has secure boot: a boot loader with other flash parameters would not start"
        )
    if order.flash_mode not in ("keep", *images.ESP_FLASH_MODES):
        raise ToolError(
            "option_refused",
            f"there is no flash mode {order.flash_mode}; there are {', '.join(images.ESP_FLASH_MODES)}",
        )
    try:
        size_bits = None if size == "keep" else esp.parse_flash_size_arg(size)
        freq_bits = None if order.flash_freq == "keep" else esp.parse_flash_freq_arg(order.flash_freq)
    except FatalError as error:
        raise ToolError("option_refused", str(error)) from error
    if size != "keep" and real_bytes is not None and flash_size_bytes(size) > real_bytes:
        raise ToolError(
            "option_refused", f"a flash size of {size} was asked for, and this board has {real_bytes} bytes"
        )
    mode = None if order.flash_mode == "keep" else order.flash_mode
    return images.esp_parameters(image, mode=mode, size_bits=size_bits, freq_bits=freq_bits)


# -- afterwards


def _verified(esp: Any, pieces: list[Piece], owner: Owner) -> str:
    """How it was verified: the chip reads its flash and tells the MD5 of it."""
    total_bytes, done_bytes = size_of(pieces), 0
    owner.stage("verifying", total_bytes=total_bytes, flash_state="complete_unverified")
    for part in split(pieces, VERIFY_BYTES):
        size_bytes = len(part.data)
        with owner.busy("the chip has computed the MD5 of what lies there"):
            found = esp.flash_md5sum(part.address, size_bytes)
        if found != hashlib.md5(part.data, usedforsecurity=False).hexdigest():
            raise ToolError(
                "verify_failed",
                f"{size_bytes} bytes in flash at {part.address:#x} are not those that were written: their MD5 differs",
            )
        done_bytes += size_bytes
        owner.progress(done_bytes)
    return f"esptool: MD5 of {total_bytes} bytes in flash at {places_of(pieces)}, computed by the chip"


if __name__ == "__main__":
    run(EsptoolOrder, flash)
