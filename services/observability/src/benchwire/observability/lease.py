"""A lease, and the board it is of, as far as decisions about them need to know; and who waits for what before whom."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from benchwire.events.device import DeviceLeased, DeviceReleased
from benchwire.events.event import Event
from benchwire.events.lease import LeaseOffered, LeaseRequested, LeaseWithdrawn

OF_ITS_REQUEST: tuple[type[Event], ...] = (LeaseRequested, LeaseOffered, LeaseWithdrawn)
TOLD = (LeaseOffered, LeaseWithdrawn, DeviceLeased, DeviceReleased)


def request_after(before: Event | None, event: Event) -> Event | None:
    """The newest of a request's events: what it has come to. After its withdrawal nothing follows."""
    return before if isinstance(before, LeaseWithdrawn) else event


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a board has to be like; what is None does not matter."""

    host: str | None = None
    device: str | None = None
    profile: str | None = None
    labels: Mapping[str, str] = {}


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """A board that is plugged in, as far as somebody may ask for it."""

    host: str
    device: str
    profile: str | None
    labels: Mapping[str, str]


def fits(board: Board, wish: Wish) -> bool:
    """Whether the board is as it was asked for."""
    return (
        wish.host in (None, board.host)
        and wish.device in (None, board.device)
        and wish.profile in (None, board.profile)
        and wish.labels.items() <= board.labels.items()
    )


def places(waiting: Sequence[tuple[str, Wish]], boards: Iterable[Board]) -> dict[str, int]:
    """The place of each of ``waiting`` (id and wish, oldest first) in the queue for the boards that would do for it; 1 is next.

    One for which no board is there waits behind those who ask for the very same.
    """
    there = list(boards)
    kinds: list[_Alike] = []  # few, however many wait
    found: dict[str, int] = {}
    for lease_id, wish in waiting:
        alike = next((one for one in kinds if one.wish == wish), None)
        if alike is None:
            alike = _Alike(wish, {place for place, board in enumerate(there) if fits(board, wish)})
            kinds.append(alike)
        found[lease_id] = 1 + sum(one.count for one in kinds if one is alike or one.boards & alike.boards)
        alike.count += 1
    return found


class _Alike(msgspec.Struct):
    """Those who ask for the same: the boards that would do, and how many they are."""

    wish: Wish
    boards: set[int]
    count: int = 0


def in_words(wish: Wish) -> str:
    """What was asked for: ``an esp32c3 with camera=yes on lab-1``."""
    what = wish.device or (f"a board of the profile {wish.profile}" if wish.profile else "a board")
    labels = ", ".join(f"{name}={value}" for name, value in wish.labels.items())
    return what + (f" with {labels}" if labels else "") + (f" on {wish.host}" if wish.host else "")


def is_good(lease: DeviceLeased | None, lease_id: str, now: datetime) -> bool:
    """Whether ``lease`` is that one, and has not run out."""
    return lease is not None and lease.lease_id == lease_id and lease.expires_at > now
