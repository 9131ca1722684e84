"""Captures: asked for, and ended before their time."""

import re
from datetime import datetime

from benchwire.events.patterns import Pattern
from benchwire.events.serial import CaptureRequested, CaptureStopRequested
from benchwire.observability import capture, errors

MOST_TAGS = 32
_TAG = re.compile(r"[A-Za-z0-9-]{1,64}")  # what the document store takes for one


def request_capture(
    *,
    capture_id: str,
    host: str,
    device: str,
    for_s: float,
    max_bytes: int,
    until: str | None,
    tags: list[str],
    now: datetime,
) -> CaptureRequested:
    """Somebody wants what the board prints. Raises ``Unusable`` and ``BadPattern``."""
    if until is not None:
        Pattern(until)
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise errors.Unusable(f"tags: {tag[:40]!r} cannot be a tag; use letters, digits and hyphens, 64 at most")
    if len(tags) > MOST_TAGS:
        raise errors.Unusable(f"tags: a capture has {MOST_TAGS} at most")
    return CaptureRequested(
        timestamp=now, host=host, capture_id=capture_id, device=device, for_s=for_s, max_bytes=max_bytes, until=until, tags=tags
    )  # fmt: skip


def stop_capture(*, capture_id: str, host: str, state: str, now: datetime) -> CaptureStopRequested:
    """Somebody wants it to end with what it has. Raises ``CaptureOver``."""
    if state != capture.RUNNING:
        raise errors.CaptureOver(capture_id, state)
    return CaptureStopRequested(timestamp=now, host=host, capture_id=capture_id)
