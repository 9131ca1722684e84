"""Asking again while a lab is away: one that restarts is back soon."""

import time
from collections.abc import Callable
from typing import TypeVar

from benchwire.client.errors import NoLab, Refused

AWAY_S = 60.0
AGAIN_S = 0.5
NOT_NOW = 500

T = TypeVar("T")


def is_away(error: Exception) -> bool:
    """Whether the lab may answer otherwise in a moment: nobody was there, or it said that it cannot now."""
    return isinstance(error, NoLab) or (isinstance(error, Refused) and error.status_code >= NOT_NOW)


def patiently(ask: Callable[[], T], *, within_s: float = AWAY_S) -> T:
    """What ``ask`` gives, which is called again while the lab is away. Raises as ``ask`` does, once ``within_s`` is over."""
    end = time.monotonic() + within_s
    while True:
        try:
            return ask()
        except (NoLab, Refused) as error:
            if not is_away(error) or time.monotonic() >= end:
                raise
        time.sleep(AGAIN_S)
