"""Flashes one board through its debug probe with pyocd, in a process of its own: ``python -m benchwire.flash_agent.tools.pyocd_worker``.

This, ``identify_worker`` and ``probe_lister`` are the only modules that import pyocd. Its client of remote probes spins for ever when the
probe's server dies, and USB libraries may crash: both end with this process.
"""

import contextlib
import itertools
import logging
from collections.abc import Iterator
from typing import Any

from pyocd.core import exceptions
from pyocd.core.helpers import ConnectHelper
from pyocd.core.memory_map import MemoryType
from pyocd.flash.loader import MemoryLoader

from benchwire.flash_agent.errors import FlashError
from benchwire.flash_agent.tools import chips, images
from benchwire.flash_agent.tools.chips import Chip
from benchwire.flash_agent.tools.pieces import Piece, places_of, size_of, split
from benchwire.flash_agent.tools.worker import ERASED, Owner, ToolError, pieces_of, run
from benchwire.flash_agent.tools.worker_protocol import PyocdOrder

READ_BACK_BYTES = 16 * 1024
CLOCK_HZ = 4_000_000


def flash(order: PyocdOrder, image: bytes, owner: Owner) -> None:
    """Writes ``image``, reads it back and compares; boots the board when the owner says so."""
    logging.basicConfig(level=logging.WARNING)
    with _told_by_code(order, owner), _session(order) as session:
        _flash(session, order, pieces_of(order, image), owner)


@contextlib.contextmanager
def _told_by_code(order: PyocdOrder, owner: Owner) -> Iterator[None]:
    """What goes wrong, as the agent is told of it."""
    try:
        yield
    except FlashError as error:
        raise ToolError(error.code, str(error)) from error
    except exceptions.Error as error:
        raise ToolError(_code_of(owner), f"pyocd: {error}") from error
    except OSError as error:
        code = "connect_failed" if owner.flash_state == "untouched" else "connection_lost"
        raise ToolError(code, f"the probe {order.probe} failed: {error}") from error


def _code_of(owner: Owner) -> str:
    return {"untouched": "connect_failed", "partial": "write_failed", "complete": "reset_failed"}.get(
        owner.flash_state, "verify_failed"
    )


def _session(order: PyocdOrder) -> Any:
    options = {
        "target_override": order.target,
        "frequency": CLOCK_HZ,
        "hide_programming_progress": True,
        "resume_on_disconnect": False,  # after a cancel the core would run on in the middle of the flash algorithm
        "no_config": True,
    }
    session = ConnectHelper.session_with_chosen_probe(unique_id=order.probe, blocking=False, options=options)
    if session is None:
        raise ToolError("connect_failed", f"no debug probe {order.probe} is there")
    return session


def _flash(session: Any, order: PyocdOrder, pieces: list[Piece], owner: Owner) -> None:
    target = session.target
    try:
        _check(target, order, pieces)
        # A tool that was killed left the flash controller in the middle of something; what runs now may have a watchdog armed.
        target.reset_and_halt()
        owner.keep_alive = target.get_state
        _write(session, order, pieces, owner)
        _compare(target, pieces, owner)
    except Exception:
        if owner.flash_state == "untouched":
            # Connecting halted the core; what it ran is still there, and goes on.
            with contextlib.suppress(exceptions.Error):
                target.reset()
        raise
    owner.verified(f"pyocd: {size_of(pieces)} bytes at {places_of(pieces)} read back and compared")
    target.reset()


# -- before anything is written


def _check(target: Any, order: PyocdOrder, pieces: list[Piece]) -> None:
    """The chip is the one that was expected, and the pieces lie in the flash that it has."""
    flash = [
        (region.start, region.end + 1) for region in target.memory_map.iter_matching_regions(type=MemoryType.FLASH)
    ]
    ranges = images.contiguous(flash)
    if order.chip is not None:
        _check_chip(target, order.chip)
        real_bytes = _flash_bytes(target, order.chip)
        if real_bytes is not None:
            start, stop = ranges[0]
            ranges[0] = (start, min(stop, start + real_bytes))
    for piece in pieces:
        images.fits(piece, ranges)
    images.apart(pieces)
    if order.erase == "chip":
        regions = [target.memory_map.get_region_for_address(piece.address) for piece in pieces]
        if not all(region.flash.is_erase_all_supported for region in regions):
            raise ToolError("option_refused", f"pyocd cannot erase a {order.target} as a whole; erase what is needed")


def _check_chip(target: Any, chip: Chip) -> None:
    expected = f"the board was expected to have an {chip.title}"
    core = chips.core_in(target.read32(chips.CPUID))
    if core != chip.core:
        raise ToolError("wrong_chip", f"{expected}, which is a {chip.core}, and its chip is a {core}")
    try:
        found = target.read32(chip.register) & chip.mask
    except exceptions.TransferFaultError as error:
        raise ToolError(
            "wrong_chip", f"{expected}, and its chip has no register at {chip.register:#010x} that says so"
        ) from error
    if found not in chip.ids:
        ids = " or ".join(f"{one:#x}" for one in chip.ids)
        raise ToolError("wrong_chip", f"{expected}, whose id is {ids}, and its chip says {found:#x}")


def _flash_bytes(target: Any, chip: Chip) -> int | None:
    """What the chip says of its flash; None when it says nothing."""
    if chip.size_register is None:
        return None
    read = target.read16 if chip.size_bits == 16 else target.read32
    try:
        return chips.size_in(chip, read(chip.size_register))
    except exceptions.TransferFaultError:
        return None


# -- writing


def _write(session: Any, order: PyocdOrder, pieces: list[Piece], owner: Owner) -> None:
    phases = _Phases(size_of(pieces), owner, until=ERASED if order.erase == "chip" else None)
    # smart_flash would skip pages by comparing first; the two phases then no longer say what they do.
    loader = MemoryLoader(
        session, progress=phases, chip_erase="chip" if order.erase == "chip" else "sector", smart_flash=False, trust_crc=False
    )  # fmt: skip
    for piece in pieces:
        loader.add_data(piece.address, piece.data)
    loader.commit()


class _Phases:
    """pyocd reports 0 to 1 for erasing, then 0 to 1 again for programming: after each sector, and after each page."""

    def __init__(self, total_bytes: int, owner: Owner, *, until: str | None) -> None:
        self._total_bytes = total_bytes
        self._owner = owner
        self._until = until
        self._stage = ""
        self._last = 0.0

    def __call__(self, fraction: float) -> None:
        if self._stage == "":
            self._begin("erasing", self._until)
        elif self._stage == "erasing" and self._last > 0.99 and fraction < 0.5:
            self._begin("writing", None)
        self._last = fraction
        self._owner.progress(int(fraction * self._total_bytes))

    def _begin(self, stage: Any, until: str | None) -> None:
        self._stage = stage
        self._owner.stage(stage, total_bytes=self._total_bytes, flash_state="partial", until=until)


# -- afterwards


def _compare(target: Any, pieces: list[Piece], owner: Owner) -> None:
    """pyocd does not verify what it programmed."""
    done_bytes = 0
    owner.stage("verifying", total_bytes=size_of(pieces), flash_state="complete_unverified")
    for part in split(pieces, READ_BACK_BYTES):
        expected = part.data
        found = bytes(target.read_memory_block8(part.address, len(expected)))
        if found != expected:
            at = next(i for i, (a, b) in enumerate(itertools.zip_longest(expected, found)) if a != b)
            raise ToolError(
                "verify_failed",
                f"the flash differs from the image at {part.address + at:#010x}: "
                f"it holds {found[at]:#04x} instead of {expected[at]:#04x}",
            )
        done_bytes += len(expected)
        owner.progress(done_bytes)


if __name__ == "__main__":
    run(PyocdOrder, flash)
