"""The clock of the log, on a machine whose own is wrong."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest
from nats.js.errors import NotFoundError

from benchwire.events import clock, nats_server
from benchwire.events.bus import Bus
from benchwire.events.clock import Clock
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Log, LogUnavailable

NEAR = timedelta(seconds=60)


class Ahead(datetime):
    """A clock that is an hour ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + timedelta(hours=1)


async def test_it_is_as_late_as_the_log_says_whatever_this_machine_thinks(
    bus: Bus, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Artifact(digest="0" * 64, size_bytes=9, name="a.bin")
    await log.append(
        FlashRequested(timestamp=datetime.now(UTC), host="h", job_id="j", device="d", image=image, address=0)
    )
    monkeypatch.setattr(clock, "datetime", Ahead)
    here = Clock(bus)
    received_at = [one.received_at async for one in log.read(["bench.>"])][-1]
    assert here.now() - received_at > timedelta(minutes=59)
    await here.look()
    assert abs(here.now() - received_at) < NEAR
    assert here.age_s < NEAR.total_seconds()


async def test_a_look_at_a_log_that_is_away_leaves_it_as_it_was(bus: Bus, nats: nats_server.Server) -> None:
    here = Clock(bus)
    await here.look()
    before = here.now()
    await bus.nc.close()
    with pytest.raises(LogUnavailable):
        await here.look()
    assert before <= here.now() < before + NEAR


async def test_a_stream_that_is_not_there_is_an_error_of_nats_as_everywhere_else(bus: Bus) -> None:
    """One of another kind ended for good what looks now and then: the keeper of snapshots, in a cluster that was electing."""
    with pytest.raises(NotFoundError, match="stream not found"):
        await clock.of_stream(bus, "NONE")
