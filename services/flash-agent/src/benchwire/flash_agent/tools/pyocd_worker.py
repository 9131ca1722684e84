"""Flashes one board through its debug probe with pyocd, in a process of its own: ``python -m benchwire.flash_agent.tools.pyocd_worker``.

The only module that imports pyocd. Its client of remote probes spins for ever when the probe's server dies, and USB libraries may crash:
both end with this process.
"""

import io
import itertools
import logging
from contextlib import suppress
from typing import Any

from pyocd.core import exceptions
from pyocd.core.helpers import ConnectHelper
from pyocd.core.memory_map import MemoryType
from pyocd.flash.file_programmer import FileProgrammer

from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools import images
from benchwire.flash_agent.tools.worker import Cancelled, Owner, ToolError, run
from benchwire.flash_agent.tools.worker_protocol import PyocdOrder

READ_BACK_BYTES = 16 * 1024
CLOCK_HZ = 4_000_000


def flash(order: PyocdOrder, image: bytes, owner: Owner) -> None:
    """Writes ``image``, reads it back and compares; boots the board when the owner says so."""
    logging.basicConfig(level=logging.WARNING)
    try:
        with _session(order) as session:
            _flash(session, order, image, owner)
    except ImageRefused as error:
        raise ToolError(error.code, str(error)) from error
    except exceptions.Error as error:
        raise ToolError(_code_of(owner), f"pyocd: {error}") from error
    except OSError as error:
        raise ToolError("connection_lost", f"the probe {order.probe} failed: {error}") from error


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


def _flash(session: Any, order: PyocdOrder, image: bytes, owner: Owner) -> None:
    target = session.target
    try:
        flash_ranges = [
            (region.start, region.end + 1) for region in target.memory_map.iter_matching_regions(type=MemoryType.FLASH)
        ]
        images.fits(image, order.address, flash_ranges)
        # A tool that was killed left the flash controller in the middle of something; what runs now may have a watchdog armed.
        target.reset_and_halt()
        _write(session, order, image, owner)
        _compare(target, order, image, owner)
    except (Cancelled, ImageRefused, exceptions.Error):
        if owner.flash_state == "untouched":
            # Connecting halted the core; what it ran is still there, and goes on.
            with suppress(exceptions.Error):
                target.reset()
        raise
    owner.verified(f"pyocd: {len(image)} bytes at {order.address:#x} read back and compared")
    target.reset()


def _write(session: Any, order: PyocdOrder, image: bytes, owner: Owner) -> None:
    phases = _Phases(len(image), owner)
    # smart_flash would skip pages by comparing first; the two phases then no longer say what they do.
    programmer = FileProgrammer(session, progress=phases, chip_erase="sector", smart_flash=False, trust_crc=False)
    programmer.program(io.BytesIO(image), file_format="bin", base_address=order.address)


class _Phases:
    """pyocd reports 0 to 1 for erasing, then 0 to 1 again for programming."""

    def __init__(self, total_bytes: int, owner: Owner) -> None:
        self._total_bytes = total_bytes
        self._owner = owner
        self._stage = ""
        self._last = 0.0

    def __call__(self, fraction: float) -> None:
        if self._stage == "":
            self._begin("erasing")
        elif self._stage == "erasing" and self._last > 0.99 and fraction < 0.5:
            self._begin("writing")
        self._last = fraction
        self._owner.progress(int(fraction * self._total_bytes))

    def _begin(self, stage: Any) -> None:
        self._stage = stage
        self._owner.stage(stage, total_bytes=self._total_bytes, flash_state="partial")


def _compare(target: Any, order: PyocdOrder, image: bytes, owner: Owner) -> None:
    """pyocd does not verify what it programmed."""
    owner.stage("verifying", total_bytes=len(image), flash_state="complete_unverified")
    for start in range(0, len(image), READ_BACK_BYTES):
        expected = image[start : start + READ_BACK_BYTES]
        found = bytes(target.read_memory_block8(order.address + start, len(expected)))
        if found != expected:
            at = next(i for i, (a, b) in enumerate(itertools.zip_longest(expected, found)) if a != b)
            raise ToolError(
                "verify_failed",
                f"the flash differs from the image at {order.address + start + at:#010x}: "
                f"it holds {found[at]:#04x} instead of {expected[at]:#04x}",
            )
        owner.progress(start + len(expected))


def _code_of(owner: Owner) -> str:
    return {"untouched": "connect_failed", "partial": "write_failed", "complete": "reset_failed"}.get(
        owner.flash_state, "verify_failed"
    )


if __name__ == "__main__":
    run(PyocdOrder, flash)
