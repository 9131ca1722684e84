"""Flash jobs: the board and the place for each, and how they are steered."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from benchwire.boards import profile
from benchwire.events.event import Artifact, Event, token
from benchwire.events.flash import (
    HIGHEST_PRIORITY,
    LEAST_BYTES_PER_S,
    LONGEST_S,
    MOST_BYTES_PER_S,
    MOST_RETRIES,
    FlashCancelRequested,
    FlashOptions,
    FlashPart,
    FlashPauseRequested,
    FlashRequested,
    FlashResumeRequested,
    FlashThrottleRequested,
)
from benchwire.events.lease import holder_of
from benchwire.observability import errors
from benchwire.observability.lease import Wish, in_words
from benchwire.observability.wire.flashing import StartFlash, address_of

STEERING: dict[str, Callable[..., Event]] = {
    "pause": FlashPauseRequested,
    "resume": FlashResumeRequested,
    "cancel": FlashCancelRequested,
}

Image = tuple[Artifact, int | None]  # and its address, where one was said

MOST_PARTS = 32
_PARTITION = re.compile(r"[ -~]{1,32}")
_WORD = re.compile(r"[A-Za-z0-9.]{1,16}")
_SAYS_ITSELF = ("hex", "elf", "uf2")


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a task, whose leases are under its name."""

    task_id: str
    node_id: str

    @property
    def holder(self) -> str:
        """What leases call it."""
        return holder_of(self.task_id, self.node_id)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A board that may be flashed: who holds it, if anybody, and how many jobs are before another one, there and on its host."""

    host: str
    device: str
    is_up: bool
    holder: str | None
    jobs: int
    jobs_of_host: int


def choose_board(candidates: Sequence[Candidate], wish: Wish, *, only_idle: bool) -> Candidate:
    """The board that can begin first; with ``only_idle`` one that can begin now. Raises ``NoBoardFree``."""
    if not candidates:
        raise errors.NoBoardFree(f"{in_words(wish)} is not plugged in anywhere; GET /api/devices lists what is")
    there = [one for one in candidates if one.is_up]
    if not there:
        hosts = ", ".join(sorted({one.host for one in candidates}))
        raise errors.NoBoardFree(f"the flash agents of all hosts that have {in_words(wish)} are gone: {hosts}")
    free = [one for one in there if one.holder is None and not (only_idle and one.jobs)]
    if not free:
        held = ", ".join(f"{one.device} on {one.host} ({one.holder or 'busy'})" for one in there)
        raise errors.NoBoardFree(f"{in_words(wish)} is not free now: {held}; ask for a lease to wait for one")
    return min(free, key=lambda one: (one.jobs, one.jobs_of_host, one.host, one.device))


def request_flash(
    *,
    job_id: str,
    host: str,
    device: str,
    board: str | None,
    images: Sequence[Image],
    asked: StartFlash,
    node: Node | None = None,
    now: datetime,
) -> FlashRequested:
    """A job for the flash agent of ``host``: ``images`` with the address of each, if one was said; a single one has the board's own.

    ``node`` is the one of a task that made the image. Raises ``Unusable``.
    """
    _check(asked)
    parts = _parts(images) if len(images) > 1 or asked.parts else []
    if parts and asked.partition:
        raise errors.Unusable("partition: it names the place of one file; several have addresses")
    address = parts[0].address if parts else _address(asked, images[0][1], board)
    return FlashRequested(
        timestamp=now, host=host, job_id=job_id, device=device, image=images[0][0], address=address, profile=board,
        document_id=asked.document_id, session_id=asked.session_id, parts=parts, format=asked.format, partition=asked.partition,
        options=asked.options, priority=asked.priority, retries=asked.retries, timeout_s=asked.timeout_s,
        max_bytes_per_s=asked.max_bytes_per_s, lease_id=asked.lease_id,
        task_id=node.task_id if node else None, node_id=node.node_id if node else None,
    )  # fmt: skip


def _parts(images: Sequence[Image]) -> list[FlashPart]:
    if len(images) > MOST_PARTS:
        raise errors.Unusable(f"parts: {len(images)} are more than the {MOST_PARTS} that one job takes")
    parts = []
    for image, address in images:
        if address is None:
            raise errors.Unusable(f"parts: say where {image.name!r} goes; in a form a file is named like file@0x10000")
        parts.append(FlashPart(image=image, address=address))
    return parts


def _address(asked: StartFlash, address: int | None, board: str | None) -> int:
    if address is None and asked.address is not None:
        address = address_of(asked.address)
    if asked.partition is not None:
        return 0
    if address is not None:
        return address
    if board is not None:
        return _flash_address(board)
    if asked.format in _SAYS_ITSELF:
        return 0
    raise errors.Unusable("address: nobody knows what kind of board this is, so say where its firmware goes")


def _flash_address(board: str) -> int:
    try:
        return profile.load(board).firmware_address
    except (profile.UnknownProfile, profile.NotFlashed) as error:
        raise errors.Unusable(f"address: {error}") from None


def _check(asked: StartFlash) -> None:
    if not -HIGHEST_PRIORITY <= asked.priority <= HIGHEST_PRIORITY:
        raise errors.Unusable(f"priority: it must be between -{HIGHEST_PRIORITY} and {HIGHEST_PRIORITY}")
    if not 0 <= asked.retries <= MOST_RETRIES:
        raise errors.Unusable(f"retries: it must be between 0 and {MOST_RETRIES}")
    if asked.timeout_s is not None and not (math.isfinite(asked.timeout_s) and 0 < asked.timeout_s <= LONGEST_S):
        raise errors.Unusable(f"timeout_s: it must be above 0, and at most {LONGEST_S:g}")
    if asked.partition is not None and not _PARTITION.fullmatch(asked.partition):
        raise errors.Unusable("partition: a partition's name has 1 to 32 ASCII characters")
    _check_rate(asked.max_bytes_per_s)
    _check_options(asked.options)
    for name in ("lease_id", "session_id"):
        if (value := getattr(asked, name)) is not None:
            token(value, name)


def _check_options(options: FlashOptions) -> None:
    for name in ("flash_size", "flash_mode", "flash_freq"):
        if not _WORD.fullmatch(getattr(options, name)):
            raise errors.Unusable(f"options.{name}: it must be a word of esptool like keep, detect, 4MB, dio or 80m")


def _check_rate(max_bytes_per_s: int | None) -> None:
    if max_bytes_per_s is not None and not LEAST_BYTES_PER_S <= max_bytes_per_s <= MOST_BYTES_PER_S:
        raise errors.Unusable(f"max_bytes_per_s: it must be at least {LEAST_BYTES_PER_S}; null is no limit")


def throttle(host: str, job_id: str, max_bytes_per_s: int | None, now: datetime) -> FlashThrottleRequested:
    """The wish that a job writes no faster. Raises ``Unusable``."""
    _check_rate(max_bytes_per_s)
    return FlashThrottleRequested(timestamp=now, host=host, job_id=job_id, max_bytes_per_s=max_bytes_per_s)
