"""Boards hold the bytes that their jobs say."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchwire.events.flash import FlashCancelled, FlashCompleted, FlashFailed
from benchwire.events.log import Recorded

from .finding import Finding


def boards_as_their_jobs_say(
    facts: Sequence[Recorded],
    images: Mapping[str, bytes],
    devices: Mapping[str, Mapping[str, Any]],
    flashes: Mapping[str, tuple[Path, int]],
) -> Finding:
    """Each board holds what its last jobs say, or is marked as one that has to be flashed again.

    ``images`` are by job, ``devices`` as observability lists them by name, ``flashes`` where a board's flash lies and the offset in it.
    """
    known: dict[str, bytes | None] = dict.fromkeys(flashes, b"")
    jobs: defaultdict[str, int] = defaultdict(int)
    for one in facts:
        match one.event:
            case FlashCompleted(device=name, job_id=job):
                known[name] = images[job]
                jobs["completed"] += 1
            case (
                FlashFailed(device=name, job_id=job, flash_state=state)
                | FlashCancelled(device=name, job_id=job, flash_state=state)
            ):
                jobs["failed or cancelled"] += 1
                if state != "untouched":
                    known[name] = images[job] if state == "complete" else None
    wrong = []
    for name, image in known.items():
        if devices[name]["needs_flash"] is not (image is None):
            wrong.append(f"{name} should{'' if image is None else ' not'} be marked: {devices[name]}")
        if image is not None:
            file, offset = flashes[name]
            if file.read_bytes()[offset : offset + len(image)] != image:
                wrong.append(f"{name} holds other bytes than its jobs say")
    return Finding(invariant="boards hold what their jobs say", figures={"boards": len(known), **jobs}, wrong=wrong)
