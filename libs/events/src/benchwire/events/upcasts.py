"""Old shapes of events, lifted on read, so that code only ever sees the newest one.

``UPCASTS[tag, version]`` turns the fields of that version into those of the next. Nothing has needed one so far.
"""

from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]

UPCASTS: dict[tuple[str, int], Callable[[Fields], Fields]] = {}


def lift(tag: str, version: int, fields: Fields) -> Fields:
    """The fields of ``tag`` as of ``version``, in the newest shape."""
    while (upcast := UPCASTS.get((tag, version))) is not None:
        fields, version = upcast(fields), version + 1
    return fields
