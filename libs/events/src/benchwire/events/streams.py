"""The streams and buckets of a lab: what they are called, how long each keeps what it has, and making those that are missing.

Limits are of a deployment: they are taken from the settings when a stream is made. Those of one that is there change by
``benchwire deploy streams`` and in no other way, so that no service that starts with another environment throws away what the lab needs.
"""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import BadRequestError, NotFoundError

from benchwire.events.catalog import FACTS, SAMPLES, filter_of
from benchwire.events.session import SessionDeleted
from benchwire.events.settings import NatsSettings

STREAM = "BENCH"
LIVE = "LIVE"
ARTIFACTS = "artifacts"
SNAPSHOTS = "snapshots"
PRESENCE = "presence"
PRESENCE_TTL_S = 4.0
PRESENCE_BEAT_S = PRESENCE_TTL_S / 3
DUPLICATE_WINDOW_S = 120.0
RESTORING = "benchwire.restoring"  # in the metadata of a stream that does not hold all of its backup yet
# In the metadata of the log: the shortest time that it ever kept its events, in seconds; that its size was limited once; and of one that was
# restored, which ones it goes on from, and up to where.
LEAST_AGE_S = "benchwire.least_age_s"
LIMITED = "benchwire.limited"
ORIGINS = "benchwire.origins"
_DAY_S = 86_400.0
_STALE_S = (
    20.0  # twice as long as a server that led a stream, and was cut off from the others, answers as if it led it still
)
_NAME_IN_USE = 10058  # nats-server's JSStreamNameExistErr


class BeingRestored(Exception):
    """A stream does not hold all of its backup yet."""


class Origin(msgspec.Struct, frozen=True):
    """Which log it is: when it was ``created``, and, of one that was restored, the ``earlier`` ones with the last sequence they share with it."""

    created: str
    earlier: dict[str, int] = {}

    def holds(self, origin: str, sequence: int) -> bool:
        """Whether what follows from the log ``origin`` up to ``sequence`` is true of this one, too."""
        return origin == self.created or sequence <= self.earlier.get(origin, -1)

    def restored(self, last: int) -> dict[str, int]:
        """The ``earlier`` of a log that is restored from this one, which went up to ``last``."""
        return {**self.earlier, self.created: last}


class End:
    """The end of a log of several copies, as whoever answers for it surely knows it.

    Of two questions, a server that was cut off from the others may answer one, and the one that leads by now the other. Both know what was told
    before they were parted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: tuple[float, int] | None = None

    def known(self, last: int) -> int:
        """``last`` as it was told some time ago; 0 when it was not asked for long enough."""
        now = self._clock()
        if self._told is None:
            self._told = (now, last)
        at, known = self._told
        if now - at < _STALE_S:
            return 0
        self._told = (now, last)
        return known


class Beginning(msgspec.Struct, frozen=True):
    """Where a log begins: ``first`` is the sequence of its oldest event. ``is_gone``: events that rows need stood before that."""

    first: int
    is_gone: bool

    def hides(self, after: int) -> bool:
        """Whether what follows the sequence ``after`` cannot all be read any more."""
        return self.is_gone and self.first > after + 1

    def why(self, after: int = 0) -> str:
        """The sentence that says what is lacking where rows know everything up to ``after``."""
        return f"events {after + 1} to {self.first - 1} are no longer in the log"


def wanted(settings: NatsSettings) -> list[StreamConfig]:
    """Every stream and bucket, as a lab with these settings has them."""
    log_age_s = settings.log_max_age_days * _DAY_S
    replicas = settings.nats_replicas
    log = StreamConfig(
        name=STREAM, subjects=[FACTS], storage=StorageType.FILE, retention=RetentionPolicy.LIMITS, num_replicas=replicas,
        duplicate_window=DUPLICATE_WINDOW_S, allow_direct=True, max_age=log_age_s, max_bytes=settings.log_max_bytes or -1,
        metadata=marks({}, log_age_s, settings.log_max_bytes) or None,
    )  # fmt: skip
    live = StreamConfig(
        name=LIVE, subjects=[SAMPLES], storage=StorageType.FILE, num_replicas=replicas, duplicate_window=1.0, allow_direct=True,
        max_age=settings.live_max_age_s, max_bytes=settings.live_max_bytes or -1,
    )  # fmt: skip
    presence = StreamConfig(
        name=f"KV_{PRESENCE}", subjects=[f"$KV.{PRESENCE}.>"], storage=StorageType.FILE, num_replicas=replicas,
        duplicate_window=PRESENCE_TTL_S, max_age=PRESENCE_TTL_S, max_msgs_per_subject=1, discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True, allow_msg_ttl=True, deny_delete=True,
    )  # fmt: skip
    return [log, live, _objects(ARTIFACTS, replicas), _objects(SNAPSHOTS, replicas), presence]


def _objects(bucket: str, replicas: int) -> StreamConfig:
    """The stream behind an object store, as every client of object stores makes it."""
    return StreamConfig(
        name=f"OBJ_{bucket}", subjects=[f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"], storage=StorageType.FILE, num_replicas=replicas,
        max_bytes=-1, discard=DiscardPolicy.NEW, allow_rollup_hdrs=True, allow_direct=True,
    )  # fmt: skip


def marks(before: dict[str, str], age_s: float, max_bytes: int) -> dict[str, str]:
    """The metadata of a log that gets these limits; what it lost under those that it had before is not forgotten."""
    after = dict(before)
    if age_s:
        after[LEAST_AGE_S] = f"{min(age_s, float(before.get(LEAST_AGE_S, age_s))):.15g}"
    if max_bytes > 0:
        after[LIMITED] = "yes"
    return after


async def missing(js: JetStreamContext, configs: Iterable[StreamConfig]) -> list[StreamConfig]:
    """Those that are not there. Raises ``BeingRestored``, and what NATS raises."""
    absent = []
    for config in configs:
        try:
            there = await js.stream_info(str(config.name))
        except NotFoundError:
            absent.append(config)
            continue
        if RESTORING in (there.config.metadata or {}):
            raise BeingRestored(
                f"{config.name} is being restored; `benchwire restore`, run again, takes up one that broke off"
            )
    return absent


async def make(js: JetStreamContext, configs: Iterable[StreamConfig]) -> None:
    """Makes streams; one that is there by now stays as it is. Raises what NATS raises."""
    for config in configs:
        try:
            await js.add_stream(config)
        except BadRequestError as error:
            if error.err_code != _NAME_IN_USE:  # else another service was quicker
                raise


def origin_of(info: StreamInfo) -> Origin:
    """Which log that is."""
    told = (info.config.metadata or {}).get(ORIGINS, "{}")
    return Origin(str(info.created), msgspec.json.decode(told, type=dict[str, int]))


async def beginning(js: JetStreamContext, info: StreamInfo | None = None) -> Beginning:
    """Where the log begins. Raises what NATS raises.

    A session that is deleted takes its events along, and its tombstone stands for them: where only such events are missing, nothing is
    gone. Without limits, and with a deleted session in the log, that is taken to be so.
    """
    info = info or await js.stream_info(STREAM)
    first = info.state.first_seq
    if first <= 1:
        return Beginning(1, is_gone=False)
    if is_limited(info, datetime.now(UTC)):
        return Beginning(first, is_gone=True)
    try:
        await js.get_last_msg(STREAM, filter_of(SessionDeleted))
    except NotFoundError:
        return Beginning(first, is_gone=True)
    return Beginning(first, is_gone=False)


def is_shrinking(info: StreamInfo) -> bool:
    """Whether the stream has a limit now, so that it loses its oldest messages, or will."""
    config = info.config
    return bool(config.max_age) or any(
        (one or 0) > 0 for one in (config.max_bytes, config.max_msgs, config.max_msgs_per_subject)
    )


def is_limited(info: StreamInfo, now: datetime) -> bool:
    """Whether a limit, of now or of before, may have taken events out of the stream by ``now``."""
    config, told = info.config, info.config.metadata or {}
    if any((one or 0) > 0 for one in (config.max_bytes, config.max_msgs, config.max_msgs_per_subject)):
        return True
    ages = [float(config.max_age or 0), float(told.get(LEAST_AGE_S, 0))]
    least_s = min((age for age in ages if age), default=None)
    if LIMITED in told or info.created is None:
        return True
    return least_s is not None and info.created + timedelta(seconds=least_s) <= now
