"""Leases on the boards of one host: who has which, who waits for one, and what has to happen now. Pure.

Whose clock rules: how long something lasts is said by whoever wrote the fact (``expires_at`` and ``wait_until``, each counted from that
fact's own ``timestamp``); from when, by the log, which says when it received the fact; that it is over, by the clock of the log, too. So a
clock that is wrong, on somebody's desk or on the host that has the board, makes no lease longer or shorter.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from benchwire.events.device import DeviceLeased, DeviceReleased
from benchwire.events.event import Event
from benchwire.events.lease import LeaseOffered, LeaseRequested, LeaseWithdrawn

MAX_LEASE_S = 30 * 24 * 3600.0
EXPIRED = "expired"
NOT_IN_TIME = "no board came free in time"
MAX_WORDS = 1000  # characters of a name or a reason that are repeated: an event has to fit into one message


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A lease under way; ``expires_at`` is by the clock that rules. ``withdrawn`` is why it is unwanted, if its request left the queue."""

    lease_id: str
    holder: str
    expires_at: datetime
    withdrawn: str | None = None


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A board that this host has seen. ``busy``: there are jobs for it that are not over. ``doubtful``: what its flash holds is not whole.

    ``used`` is the place in the log where somebody was done with it last.
    """

    device: str
    attached: bool
    profile: str | None = None
    labels: dict[str, str] = {}
    held: Held | None = None
    busy: bool = False
    doubtful: bool = False
    used: int = 0

    @property
    def is_free(self) -> bool:
        """Whether it can be leased."""
        return self.attached and self.held is None and not self.busy


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the queue until ``until``; once it is offered by this host, for ``device``."""

    asked: LeaseRequested
    until: datetime
    device: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand on ``host``: its boards, the requests that wait for any host, and those that it has ``offered`` a board, oldest first."""

    host: str
    boards: list[Board]
    waiting: list[Wanted]
    offered: list[Wanted]


def ends_at(said: datetime, written_at: datetime, received_at: datetime) -> datetime:
    """When something ends by the clock that rules, of which its writer said at ``written_at`` that it ends when it is ``said``."""
    try:
        return received_at + max(said - written_at, timedelta())
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def fits(asked: LeaseRequested, host: str, board: Board) -> bool:
    """Whether the board is what was asked for, free or not."""
    return (
        asked.host in (None, host)
        and asked.device in (None, board.device)
        and asked.profile in (None, board.profile)
        and asked.labels.items() <= board.labels.items()
    )


def next_fact(standing: Standing, now: datetime) -> Event | None:
    """The first thing that has to happen now; when it has, ask again. What ends comes before what begins."""
    return next(_due(standing, now), None)


def _due(standing: Standing, now: datetime) -> Iterator[Event]:
    yield from _ended(standing, now)
    for offer in standing.offered:
        yield _completed(standing, offer, now)
    for one in standing.waiting:
        if one.until <= now:
            yield LeaseWithdrawn(timestamp=now, lease_id=one.asked.lease_id, reason=NOT_IN_TIME)
    yield from _offers(standing, now)


def _ended(standing: Standing, now: datetime) -> Iterator[DeviceReleased]:
    for board in standing.boards:
        held = board.held
        if held is not None and (held.withdrawn is not None or held.expires_at <= now):
            reason = (held.withdrawn or EXPIRED)[:MAX_WORDS]
            yield DeviceReleased(
                timestamp=now, host=standing.host, device=board.device, lease_id=held.lease_id, reason=reason
            )


def _completed(standing: Standing, offer: Wanted, now: datetime) -> DeviceLeased | LeaseWithdrawn:
    """What follows an offer: at once, or after a restart, when the board may be gone or nobody may be waiting any more."""
    asked = offer.asked
    board = next((one for one in standing.boards if one.device == offer.device), None)
    if board is None or not board.attached:
        reason = f"{offer.device} was unplugged in the moment it was to be leased; ask again"
    elif board.held is not None:
        reason = f"{offer.device} was leased to {board.held.holder:.200} in the same moment; ask again"
    elif offer.until <= now:
        reason = NOT_IN_TIME
    else:
        for_s = min(max(asked.for_s, 0.0), MAX_LEASE_S)
        return DeviceLeased(
            timestamp=now, host=standing.host, device=board.device, lease_id=asked.lease_id, holder=asked.holder[:MAX_WORDS],
            expires_at=now + timedelta(seconds=for_s),
        )  # fmt: skip
    return LeaseWithdrawn(timestamp=now, lease_id=asked.lease_id, reason=reason)


def _offers(standing: Standing, now: datetime) -> Iterator[LeaseOffered]:
    free = [one for one in standing.boards if one.is_free]
    for place, one in enumerate(standing.waiting):
        fitting = [board for board in free if fits(one.asked, standing.host, board)]
        if not fitting:
            continue
        later = [other.asked for other in standing.waiting[place + 1 :]]

        # A board that others cannot do without is left to them; then one that runs what it should; then the one that rested longest.
        def rank(board: Board, later: list[LeaseRequested] = later) -> tuple[int, bool, int, str]:
            wanted = sum(fits(other, standing.host, board) for other in later)
            return wanted, board.doubtful, board.used, board.device

        device = min(fitting, key=rank).device
        yield LeaseOffered(timestamp=now, lease_id=one.asked.lease_id, host=standing.host, device=device)


def due_at(standing: Standing) -> datetime | None:
    """When something will have to happen although nobody does anything; None while nothing runs out."""
    ends = [one.held.expires_at for one in standing.boards if one.held is not None]
    ends += [one.until for one in standing.waiting]
    return min(ends, default=None)
