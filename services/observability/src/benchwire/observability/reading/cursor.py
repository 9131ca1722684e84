"""Where a page ended, as clients carry it: they hand it back as it is, and read nothing into it."""

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from benchwire.observability.errors import BadCursor

T = TypeVar("T")

_LONGEST = 512


def made(place: tuple[Any, ...]) -> str:
    """A cursor for ``place``: the values that the order of the list is made of."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def read(text: str, kind: type[T]) -> T:
    """The place that ``text`` stands for. Raises ``BadCursor``."""
    try:
        raw = text.encode("ascii")
        if len(raw) > _LONGEST:
            raise BadCursor
        place = msgspec.json.decode(base64.b64decode(raw + b"=" * (-len(raw) % 4), b"-_", validate=True), type=kind)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise BadCursor from None
    return place
