"""What changes when the streams of a lab get the limits of these settings, and what is lost by that. Changes nothing by looking."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from benchwire.events import clock, streams
from benchwire.events.bus import Bus
from benchwire.events.catalog import FLASH_AGENT
from benchwire.events.permissions import SERVICES
from benchwire.events.snapshots.record import Snapshot, names_of
from benchwire.events.snapshots.shelf import standing
from benchwire.events.streams import STREAM

LEAST_AGE = timedelta(days=1)  # a request may wait in a queue for that long
_MARGIN = 1.1  # messages differ in size, so that a limit of bytes may take a few more than the average says
_HOSTS = "bench.host.>"


class TooShort(ValueError):
    """An age in which work that waits would be lost."""


class Change(msgspec.Struct, frozen=True):
    """One limit: what it is called, as it is and as it will be."""

    what: str
    before: str
    after: str


class Lost(msgspec.Struct, frozen=True):
    """How many messages go, and up to which sequence; about, where a size limits."""

    messages: int
    upto: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One stream: ``there`` is None where it has to be made. ``lost`` is what it has now and will not have then."""

    wanted: StreamConfig
    there: StreamInfo | None
    changes: list[Change]
    lost: Lost


class Cover(msgspec.Struct, frozen=True):
    """Up to which sequence the newest snapshot of a projection reaches; 0 without one."""

    projection: str
    upto: int


async def plans(bus: Bus) -> list[Plan]:
    """What the settings of ``bus`` make of each stream. Raises ``TooShort``, ``BeingRestored`` and what NATS raises."""
    age = timedelta(days=bus.settings.log_max_age_days)
    if timedelta(0) < age < LEAST_AGE:
        raise TooShort(
            "BENCHWIRE_LOG_MAX_AGE_DAYS: less than a day would lose requests that wait in a queue; 0 is no limit"
        )
    wanted = streams.wanted(bus.settings)
    absent = {str(one.name) for one in await streams.missing(bus.js, wanted)}
    return [await _plan(bus, one, is_there=str(one.name) not in absent) for one in wanted]


async def _plan(bus: Bus, wanted: StreamConfig, *, is_there: bool) -> Plan:
    if not is_there:
        return Plan(wanted=wanted, there=None, changes=[], lost=Lost(0, 0))
    there = await bus.js.stream_info(str(wanted.name))
    changes = list(_changes(there.config, wanted))
    return Plan(wanted=wanted, there=there, changes=changes, lost=await _lost(bus, there, wanted, changes))


def _changes(there: StreamConfig, wanted: StreamConfig) -> Iterable[Change]:
    pairs = (
        ("age", _age(there.max_age), _age(wanted.max_age)),
        ("size", _size(there.max_bytes), _size(wanted.max_bytes)),
        ("copies", str(there.num_replicas or 1), str(wanted.num_replicas or 1)),
    )
    return (Change(what, before, after) for what, before, after in pairs if before != after)


def _age(seconds: float | None) -> str:
    return f"{timedelta(seconds=seconds)}" if seconds else "no limit"


def _size(max_bytes: int | None) -> str:
    return f"{max_bytes} bytes" if max_bytes and max_bytes > 0 else "no limit"


async def _lost(bus: Bus, there: StreamInfo, wanted: StreamConfig, changes: Sequence[Change]) -> Lost:
    limited = {one.what for one in changes}
    lost = Lost(0, 0)
    if "age" in limited and wanted.max_age:
        now = await clock.of_stream(bus, str(wanted.name))
        lost = await _older(bus, there, now - timedelta(seconds=wanted.max_age))
    over = there.state.bytes - (wanted.max_bytes or 0)
    if "size" in limited and (wanted.max_bytes or 0) > 0 and over > 0:
        share = min(1.0, _MARGIN * over / there.state.bytes)
        first, last = there.state.first_seq, there.state.last_seq
        lost = max(
            lost, Lost(int(share * there.state.messages), first + int(share * (last - first))), key=lambda one: one.upto
        )
    return lost


async def _older(bus: Bus, there: StreamInfo, than: datetime) -> Lost:
    """What is older ``than`` that: a reader that begins there says how much is left, and after which sequence."""
    name = str(there.config.name)
    config = ConsumerConfig(
        name=f"looking-{bus.nc.new_inbox().rsplit('.', 1)[-1]}", deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=than,
        ack_policy=AckPolicy.NONE, mem_storage=True, num_replicas=1, inactive_threshold=5.0,
    )  # fmt: skip
    begun = await bus.js.add_consumer(name, config, timeout=5.0)
    await bus.js.delete_consumer(name, begun.name)
    kept = int(begun.num_pending or 0)
    upto = int(begun.delivered.stream_seq) if begun.delivered else 0
    return Lost(there.state.messages - kept, upto if kept < there.state.messages else 0)


async def covers(bus: Bus) -> list[Cover]:
    """How far the snapshots of every projection of the lab reach, each in its newest version. Raises what NATS raises."""
    origin = streams.origin_of(await bus.js.stream_info(STREAM))
    try:
        found = [told for told, _ in await standing(bus, f"$O.{streams.SNAPSHOTS}.M.>")]
    except NotFoundError:
        found = []
    fitting = [one for one in found if not one.deleted and origin.holds(one.origin, one.sequence)]
    hosts = {
        subject.split(".")[2]
        for subject in (await bus.js.stream_info(STREAM, subjects_filter=_HOSTS)).state.subjects or {}
    }
    hosts |= {one.projection.partition(".")[2] for one in fitting if one.projection.startswith(f"{FLASH_AGENT}.")}
    names = dict.fromkeys(
        name
        for part in SERVICES
        for host in (sorted(hosts) if part == FLASH_AGENT else [""])
        for name in names_of(part, host)
    )
    return [Cover(name, _reach([one for one in fitting if one.projection == name])) for name in names]


def _reach(found: Sequence[Snapshot]) -> int:
    newest = max((one.version for one in found), default=0)
    return max((one.sequence for one in found if one.version == newest), default=0)


async def applied(bus: Bus, plan: Plan) -> None:
    """Makes the stream, or gives it its limits. Raises what NATS raises."""
    if plan.there is None:
        await streams.make(bus.js, [plan.wanted])
        return
    wanted, config = plan.wanted, plan.there.config
    metadata = config.metadata or {}
    if config.name == STREAM:
        # Those of now, too: they may have been set by hand, and then nothing says what they took.
        metadata = streams.marks(metadata, config.max_age or 0, config.max_bytes or 0)
        metadata = streams.marks(metadata, wanted.max_age or 0, wanted.max_bytes or 0)
    await bus.js.update_stream(
        config,
        max_age=wanted.max_age or 0,
        max_bytes=wanted.max_bytes,
        num_replicas=wanted.num_replicas,
        metadata=metadata,
    )
