"""`benchwire deploy streams`: the limits of a lab change here and nowhere else, and nothing goes that somebody needs."""

from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest
from nats.js.errors import NotFoundError

from benchwire.agent.projection import SCHEMA as AGENT
from benchwire.deploy.hosts import limits, streams
from benchwire.documents.projection import SCHEMA as DOCUMENTS
from benchwire.events import streams as events_streams
from benchwire.events.bus import LIVE, STREAM, Bus
from benchwire.events.host import HostStarted
from benchwire.events.log import Log
from benchwire.events.session import SessionDeleted, SessionStarted
from benchwire.events.snapshots.record import Snapshot, empty, names_of
from benchwire.events.snapshots.shelf import Shelf
from benchwire.events.testing.samples import AT
from benchwire.flash_agent.projection import schema as flash_agent
from benchwire.observability.projection import SCHEMA as OBSERVABILITY
from benchwire.observability.projection.search import SCHEMA as SEARCH


async def run(bus: Bus, *, look: bool = False, yes: bool = False, force: bool = False, **settings: float) -> None:
    await streams._streams(msgspec.structs.replace(bus.settings, **settings), look=look, yes=yes, force=force)


async def test_what_is_missing_is_made_and_limits_that_delete_nothing_are_given_at_once(bus: Bus) -> None:
    await bus.js.delete_stream(LIVE)
    await run(bus, look=True, live_max_age_s=60)
    with pytest.raises(NotFoundError):
        await bus.js.stream_info(LIVE)
    await run(bus, live_max_age_s=60, log_max_age_days=400)
    log, live = await bus.js.stream_info(STREAM), await bus.js.stream_info(LIVE)
    assert (log.config.max_age, live.config.max_age) == (400 * 86_400, 60)
    assert log.config.allow_direct, "everything else is as it was"


async def test_the_log_keeps_what_a_snapshot_of_every_projection_does_not_cover(
    log: Log, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    await log.append(HostStarted(timestamp=AT, host="host-1", version="1"))
    for number in range(50):
        await log.append(SessionStarted(timestamp=AT, session_id=f"s{number}", session_name="x" * 1000))
    size = (await bus.js.stream_info(STREAM)).state.bytes // 2
    with pytest.raises(streams.NotDone, match="--force"):
        await run(bus, yes=True, log_max_bytes=size)
    assert "flash-agent.host-1: there is no snapshot" in capsys.readouterr().err
    for name in ("observability", "observability-search", "documents", "agent", "flash-agent.host-1"):
        await _covered(bus, name, upto=51)
    with pytest.raises(streams.NotDone, match="--yes"):
        await run(bus, log_max_bytes=size)
    assert (await bus.js.stream_info(STREAM)).state.first_seq == 1
    await run(bus, yes=True, log_max_bytes=size)
    assert 10 < (await bus.js.stream_info(STREAM)).state.first_seq < 40
    await run(bus)
    info = await bus.js.stream_info(STREAM)
    assert (info.config.max_bytes, info.state.first_seq > 10) == (-1, True), "what is gone does not come back"


async def _covered(bus: Bus, projection: str, *, upto: int) -> Snapshot:
    origin = str((await bus.js.stream_info(STREAM)).created)
    into = msgspec.structs.replace(empty(projection, 1, 0), origin=origin, sequence=upto)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"rows"

    return await Shelf(bus, projection, 1).put(into, pieces())


async def test_what_a_limit_set_by_hand_took_is_not_forgotten_when_it_is_lifted(log: Log, bus: Bus) -> None:
    for number in range(3):
        await log.append(SessionStarted(timestamp=AT, session_id=f"s{number}"))
    await log.append(SessionDeleted(timestamp=AT, session_id="s2"))
    config = (await bus.js.stream_info(STREAM)).config
    await bus.js.update_stream(config, max_msgs=2, max_bytes=1 << 20)
    await bus.js.update_stream(config, max_bytes=1 << 20)
    assert (await events_streams.beginning(bus.js)).is_gone
    await run(bus)
    assert (await bus.js.stream_info(STREAM)).config.max_bytes == -1
    assert (await events_streams.beginning(bus.js)).is_gone


async def test_what_is_older_than_an_age_is_counted_before_it_goes(log: Log, bus: Bus) -> None:
    for number in range(3):
        await log.append(SessionStarted(timestamp=AT, session_id=f"s{number}"))
    info = await bus.js.stream_info(STREAM)
    second = await bus.js.get_msg(STREAM, 2)
    assert second.time
    assert await limits._older(bus, info, second.time) == limits.Lost(1, 1)
    assert await limits._older(bus, info, second.time + timedelta(days=1)) == limits.Lost(3, 3)
    assert await limits._older(bus, info, second.time - timedelta(days=1)) == limits.Lost(0, 0)


async def test_an_age_in_which_work_that_waits_would_be_lost_is_refused(bus: Bus) -> None:
    with pytest.raises(limits.TooShort, match="a day"):
        await run(bus, yes=True, force=True, log_max_age_days=0.5)


def test_every_projection_that_makes_snapshots_is_known_by_name() -> None:
    known = {
        name for part in ("observability", "documents", "agent", "flash-agent") for name in names_of(part, "host-1")
    }
    assert known == {one.name for one in (OBSERVABILITY, SEARCH, DOCUMENTS, AGENT, flash_agent("host-1"))}
