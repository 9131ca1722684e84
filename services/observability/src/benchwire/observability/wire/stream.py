"""Frames as Server-Sent Events.

The ``id`` of an event is the place of its frame in the log. Where several frames tell of one place, only the last has the plain sequence
as its id; those before it add which part they are, so that a reader that was cut off between two of them misses none and gets none twice.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from benchwire.observability.wire.sessions import Frame

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}  # a proxy that collects before it passes on would hold frames back
BEAT = ": still here\n\n"
TOO_SLOW = ": too slow: connect again, and what was missed follows\n\n"
_ALL_PARTS = 9
_PLACE = re.compile(r"(\d{1,18})(?:\.(\d))?", re.ASCII)


class Place(NamedTuple):
    """How far a reader has come: it has all parts of what stands at ``sequence`` up to ``part``."""

    sequence: int
    part: int = _ALL_PARTS


def place_of(text: str) -> Place | None:
    """The place that an ``id`` names; None when it is no id of ours."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    return Place(int(found[1]), _ALL_PARTS if found[2] is None else int(found[2]))


def begun(retry_ms: int) -> str:
    """The first lines: after which time a reader that was cut off should come back."""
    return f"retry: {retry_ms}\n\n"


def events(frames: Sequence[Frame]) -> Iterable[str]:
    """``frames`` in their order as events; of each place that is among them all parts have to be there."""
    for one, following in pairwise([*frames, None]):
        assert one is not None
        is_last = following is None or following.sequence != one.sequence
        mark = f"{one.sequence}" if is_last else f"{one.sequence}.{one.part}"
        yield f"id: {mark}\nevent: {one.kind}\ndata: {one.text}\n\n"
