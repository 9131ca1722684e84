"""Flashes one board by copying a UF2 file onto its boot loader's drive: ``python -m benchwire.flash_agent.tools.uf2_worker``.

In a process of its own because a write to a drive whose board hangs blocks for as long as the kernel likes.
"""

import os
import time
from pathlib import Path

from benchwire.boards import rp2040, uf2
from benchwire.flash_agent.tools import uf2_drives
from benchwire.flash_agent.tools.uf2_drives import Drive
from benchwire.flash_agent.tools.worker import Owner, ToolError, pieces_of, run
from benchwire.flash_agent.tools.worker_protocol import Uf2Order

FILE_NAME = "FIRMWARE.UF2"
BLOCKS_AT_ONCE = 16  # 4 KiB of image
APPEARS_WITHIN_S = 15.0
ACCEPTED_WITHIN_S = 60.0  # less than the agent is patient with a silent tool
SETTLED_AFTER_S = 3.0
_LOOK_EVERY_S = 0.02


def flash(order: Uf2Order, image: bytes, owner: Owner) -> None:
    """Writes ``image``, reads it back where the loader offers that, and waits until the loader has left with all of it."""
    if order.erase == "chip":
        raise ToolError(
            "cannot_erase", "this board's boot loader erases only what it writes; ask for no erase of the chip"
        )
    drive = _found(order, owner)
    _check_board(drive, order)
    placed = ((piece.address, piece.data) for piece in pieces_of(order, image))
    file = uf2.packed(placed, family=order.family, sector_bytes=order.sector_bytes)
    copy = _Copy(drive, file, image_bytes=len(image), owner=owner)
    try:
        by = copy.run(order.family)
    except OSError as error:
        raise copy.broken(f"could not be written: {error.strerror or error}") from error
    owner.verified(by)


def _found(order: Uf2Order, owner: Owner) -> Drive:
    """The drive of this order's board, as soon as it is there. Raises ``ToolError``."""
    end = time.monotonic() + APPEARS_WITHIN_S
    while True:
        owner.checkpoint()
        candidates = _candidates(order)
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            paths = ", ".join(str(one.path) for one in candidates)
            raise ToolError(
                "ambiguous_drive",
                f"several boards show a drive of {order.board_id} ({paths}): leave one of them in its loader",
            )
        if time.monotonic() > end:
            where = order.drive or f"any drive of {order.board_id} that is mounted on this host"
            raise ToolError(
                "connect_failed",
                f"the board is not in its boot loader: {where} is not there after {APPEARS_WITHIN_S:g} s; "
                "hold its BOOTSEL button while it is plugged in",
            )
        time.sleep(_LOOK_EVERY_S)


def _candidates(order: Uf2Order) -> list[Drive]:
    if order.drive is None:
        return [drive for drive in uf2_drives.mounted() if drive.board_id == order.board_id]
    drive = uf2_drives.drive_at(Path(order.drive))
    return [] if drive is None else [drive]


def _check_board(drive: Drive, order: Uf2Order) -> None:
    if drive.board_id != order.board_id:
        raise ToolError(
            "wrong_chip", f"the board was expected to call itself {order.board_id}, and calls itself {drive.board_id}"
        )


class _Copy:
    """A UF2 file on its way onto a drive."""

    def __init__(self, drive: Drive, file: bytes, *, image_bytes: int, owner: Owner) -> None:
        self._drive = drive
        self._file = file
        self._image_bytes = image_bytes
        self._owner = owner
        self._blocks = len(file) // uf2.BLOCK_BYTES

    def run(self, family: int) -> str:
        """All of it; by what it is known to be in the flash. Raises ``ToolError``, and ``OSError`` when the drive fails."""
        path = self._drive.path / FILE_NAME
        self._forget(path, family)
        self._owner.stage("writing", total_bytes=self._image_bytes, flash_state="partial")
        # Where it can be read back, the loader gets its last block, with which it leaves, when the others are known to be right.
        shows_flash = self._drive.current is not None and self._blocks > 1
        with path.open("r+b", buffering=0) as out:
            out.seek(0, os.SEEK_END)
            self._write(out.fileno(), self._blocks - 1 if shows_flash else self._blocks)
            self._owner.stage(
                "verifying", total_bytes=self._image_bytes, until="the boot loader has taken the last block"
            )
            if shows_flash:
                self._compare()
                self._put(out.fileno(), self._file[-uf2.BLOCK_BYTES :], is_last=True)
        self._accepted()
        if shows_flash:
            return (
                f"uf2: {self._blocks - 1} of {self._blocks} blocks read back from {uf2_drives.CURRENT_NAME} and compared, "
                "the last one accepted by the boot loader"
            )
        return f"uf2: the boot loader accepted all {self._blocks} blocks and left; such a drive cannot be read back"

    def _forget(self, path: Path, family: int) -> None:
        """A loader may still have blocks of a copy that was broken off, and take these for the rest of it."""
        path.unlink(missing_ok=True)
        with path.open("xb", buffering=0) as out:
            if family == rp2040.FAMILY:
                self._put(out.fileno(), rp2040.FORGET)

    def _write(self, fd: int, blocks: int) -> None:
        done = 0
        while done < blocks:
            step = min(BLOCKS_AT_ONCE, blocks - done)
            step = max(1, min(step, self._owner.step_bytes(step * uf2.PAYLOAD_BYTES) // uf2.PAYLOAD_BYTES))
            piece = self._file[done * uf2.BLOCK_BYTES : (done + step) * uf2.BLOCK_BYTES]
            done += step
            self._put(fd, piece, is_last=done == self._blocks)
            self._owner.progress(self._image_bytes * done // self._blocks)

    def _put(self, fd: int, piece: bytes, *, is_last: bool = False) -> None:
        """On the board when it returns, on a real drive."""
        view = memoryview(piece)
        while view:
            view = view[os.write(fd, view) :]
        try:
            os.fsync(fd)
        except OSError:
            if not is_last:  # with its last block the loader leaves, and takes the drive along
                raise
        if not is_last and not self._drive.is_there:
            raise self.broken("is gone")

    def _compare(self) -> None:
        """Every block but the last one is in the flash. Raises ``ToolError`` when the flash stays different."""
        wanted = {block.address: block.data for block in uf2.blocks_of(self._file[: -uf2.BLOCK_BYTES])}
        seen_ns, since = -1, time.monotonic()
        while True:
            self._owner.checkpoint()
            current = self._drive.current
            if current is None:
                raise self.broken("is gone")
            changed_ns = current.stat().st_mtime_ns
            if changed_ns != seen_ns:
                seen_ns, since = changed_ns, time.monotonic()
                different = _first_different(wanted, uf2_drives.content_of(current))
                if different is None:
                    return
            if time.monotonic() - since > SETTLED_AFTER_S:
                raise ToolError(
                    "verify_failed", f"the flash differs from the image in the 256 bytes at {different:#010x}"
                )
            time.sleep(_LOOK_EVERY_S)

    def _accepted(self) -> None:
        """The loader leaves when it has every block of the file."""
        end = time.monotonic() + ACCEPTED_WITHIN_S
        while self._drive.is_there:
            self._owner.checkpoint()
            if time.monotonic() > end:
                raise ToolError(
                    "verify_failed",
                    f"the boot loader has not taken all {self._blocks} blocks: its drive is still there {ACCEPTED_WITHIN_S:g} s later",
                )
            time.sleep(_LOOK_EVERY_S)
        if self._drive.was_torn_out:
            raise self.broken("went before the boot loader had all of it")
        self._owner.flash_state = "complete_unverified"

    def broken(self, how: str) -> ToolError:
        """What has to be said when the drive fails."""
        if self._drive.is_there:
            return ToolError("write_failed", f"the drive {self._drive.path} {how}")
        return ToolError("connection_lost", f"the drive {self._drive.path} {how}: the board was reset or unplugged")


def _first_different(wanted: dict[int, bytes], shown: bytes) -> int | None:
    """The address of the first block that is not shown as it should be."""
    try:
        there = {block.address: block.data for block in uf2.blocks_of(shown)}
    except uf2.Uf2Error:
        there = {}
    return next((address for address, data in wanted.items() if there.get(address) != data), None)


if __name__ == "__main__":
    run(Uf2Order, flash)
