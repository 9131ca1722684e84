"""The clock of the log: what time it is where facts are received.

Whoever decides by it what has run out is not misled by a machine whose own clock is wrong, or is set while it runs.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from benchwire.events.bus import STREAM, Bus
from benchwire.events.log import SILENT, LogUnavailable

_ANSWER_S = 10.0


class _Told(msgspec.Struct):
    """The part of the server's answer about a stream that says what time it is there, or why it does not say."""

    ts: datetime | None = None
    error: dict[str, Any] | None = None


async def of_stream(bus: Bus, stream: str) -> datetime:
    """What time it is where the messages of ``stream`` get theirs. Raises what NATS raises."""
    reply = await bus.nc.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=_ANSWER_S)
    told = msgspec.json.decode(reply.data, type=_Told)
    if told.ts is None:
        raise APIError.from_error(told.error or {"code": 500, "description": f"no time in the answer about {stream}"})
    return told.ts.astimezone(UTC)


class Clock:
    """Goes on by itself between two looks; before the first one it is this machine's own."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._looked: tuple[datetime, float] | None = None  # what it was, and by the machine's counter of seconds when

    @property
    def age_s(self) -> float:
        """For how long nobody has looked, in seconds; infinite before the first look."""
        return float("inf") if self._looked is None else time.monotonic() - self._looked[1]

    def now(self) -> datetime:
        """What time it is there, as far as is known here."""
        if self._looked is None:
            return datetime.now(UTC)
        return self._looked[0] + timedelta(seconds=self.age_s)

    async def look(self) -> None:
        """Asks the server. Raises ``LogUnavailable``."""
        asked_s = time.monotonic()
        try:
            told = await of_stream(self._bus, STREAM)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(SILENT) from error
        self._looked = (told, (asked_s + time.monotonic()) / 2)
