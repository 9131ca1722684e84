"""Leases: asked for, renewed, given back."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from benchwire.boards import profile
from benchwire.events.device import DeviceLeased, DeviceReleased
from benchwire.events.event import Event, token
from benchwire.events.flash import FlashCancelRequested
from benchwire.events.lease import LeaseRequested, LeaseWithdrawn
from benchwire.observability import errors, lease
from benchwire.observability.lease import Wish
from benchwire.observability.wire.leasing import AskLease

FlashJob = tuple[str, str]  # host, job id

GIVEN_BACK = "given back"
UNWANTED = "taken back by who asked for it"
NOT_IN_TIME = "no board came free in time"
ITS_END = "who held it has ended"

MOST_FOR_S = 7 * 86_400.0
MOST_WAIT_S = 30.0
MOST_PATIENCE_S = 86_400.0
LEAST_PATIENCE_S = 1.0  # also whoever does not want to wait has to give a host the time to answer
MOST_LABELS = 32
_MOST_HOLDER_CHARS = 256
_MOST_LABEL_CHARS = 256


def request_lease(
    asked: AskLease, lease_id: str, *, host: str | None, device: str | None, now: datetime
) -> LeaseRequested:
    """A request for the queue; ``host`` and ``device`` are those that ``asked`` names, as the lab knows them. Raises ``Unusable``."""
    if len(asked.holder) > _MOST_HOLDER_CHARS:
        raise errors.Unusable(f"holder: {_MOST_HOLDER_CHARS} characters are the most")
    if not 0 <= asked.wait_s <= MOST_WAIT_S:
        raise errors.Unusable(f"wait_s: it must be between 0 and {MOST_WAIT_S:g}; patience_s may be longer")
    if device is None and asked.profile is None and not asked.labels:
        raise errors.Unusable("device_id: say which board, or a profile, or labels that it has to have")
    return LeaseRequested(
        timestamp=now, lease_id=token(lease_id, "lease_id"), holder=asked.holder, for_s=duration(asked.for_s),
        wait_until=now + timedelta(seconds=patience(asked)), host=host, device=device, profile=board_named(asked.profile),
        labels=checked_labels(asked.labels),
    )  # fmt: skip


def patience(asked: AskLease) -> float:
    """For how many seconds the request stays in the queue. Raises ``Unusable``."""
    wanted_s = asked.wait_s if asked.patience_s is None else asked.patience_s
    if not 0 <= wanted_s <= MOST_PATIENCE_S:
        raise errors.Unusable(f"patience_s: it must be between 0 and {MOST_PATIENCE_S:g}")
    return max(wanted_s, asked.wait_s, LEAST_PATIENCE_S)


def duration(for_s: float) -> float:
    """For how many seconds a lease is. Raises ``Unusable``."""
    if not 1 <= for_s <= MOST_FOR_S:
        raise errors.Unusable(f"for_s: it must be between 1 and {MOST_FOR_S:g}; a lease can be renewed")
    return for_s


def board_named(name: str | None) -> str | None:
    """The name under which boards of that profile or alias are known. Raises ``Unusable``."""
    if name is None:
        return None
    try:
        return profile.load(name).board
    except profile.UnknownProfile as error:
        raise errors.Unusable(f"profile: {error}") from None


def checked_labels(labels: dict[str, str]) -> dict[str, str]:
    """``labels``, when boards can have them. Raises ``Unusable``."""
    if len(labels) > MOST_LABELS:
        raise errors.Unusable(f"labels: {MOST_LABELS} are the most")
    if any(not name or len(name) + len(value) > _MOST_LABEL_CHARS for name, value in labels.items()):
        raise errors.Unusable(f"labels: each has a name, and {_MOST_LABEL_CHARS} characters at most")
    return labels


def renew(held: DeviceLeased | None, lease_id: str, for_s: float, now: datetime) -> DeviceLeased:
    """The lease for longer; it never becomes shorter. Raises ``LeaseOver``."""
    if held is None or not lease.is_good(held, lease_id, now):
        raise errors.LeaseOver(lease_id)
    until = max(held.expires_at, now + timedelta(seconds=duration(for_s)))
    return DeviceLeased(
        timestamp=now, host=held.host, device=held.device, lease_id=lease_id, holder=held.holder, expires_at=until
    )


def release(held: DeviceLeased | None, lease_id: str, reason: str, now: datetime) -> DeviceReleased | None:
    """The end of a lease, unless it has ended already."""
    if held is None or held.lease_id != lease_id:
        return None
    return DeviceReleased(timestamp=now, host=held.host, device=held.device, lease_id=lease_id, reason=reason)


def withdraw(newest: Event | None, lease_id: str, reason: str, now: datetime) -> LeaseWithdrawn | None:
    """The end of a request. One that a host is taking a board for just now gives that back when it sees this."""
    if newest is None or isinstance(newest, LeaseWithdrawn):
        return None
    return LeaseWithdrawn(timestamp=now, lease_id=lease_id, reason=reason)


def why_not(wish: Wish, taken: Sequence[tuple[str, str]], *, is_there: bool) -> str:
    """Why a request came to nothing. ``taken`` are the boards that would do (by name) and their holders; those that are busy have none."""
    asked = lease.in_words(wish)
    if not is_there:
        return f"{asked} is not plugged in anywhere now; GET /api/devices lists what is"
    held = [f"{name} by {holder}" if holder else f"{name} is busy" for name, holder in taken]
    return f"{asked} did not come free in time" + (f": held are {', '.join(held)}" if held else "")


def cancel_jobs(jobs: Sequence[FlashJob], now: datetime) -> list[Event]:
    """What ends with a task whose runner is gone: its flash ``jobs`` that are still active."""
    reason = "its task has ended"
    return [FlashCancelRequested(timestamp=now, host=host, job_id=job_id, reason=reason) for host, job_id in jobs]
