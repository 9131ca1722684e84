"""What frames about boards have in common: JSON, with times in milliseconds since the epoch."""

from datetime import datetime
from typing import Any

import msgspec


def milliseconds(moment: datetime) -> int:
    """A time as these frames carry it."""
    return int(moment.timestamp() * 1000)


def encoded(frame: dict[str, Any]) -> str:
    """A frame as it is sent."""
    return msgspec.json.encode(frame).decode()


def pong(now: datetime) -> str:
    """The answer to a ping."""
    return encoded({"type": "pong", "timestamp": milliseconds(now)})


def refused(detail: str, now: datetime) -> str:
    """What a client sent and what is not taken from it."""
    return encoded({"type": "error", "error": detail, "timestamp": milliseconds(now)})
