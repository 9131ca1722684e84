"""Work that is claimed again and again, because whoever had it was lost each time: it may be the work that ends them."""

from datetime import datetime, timedelta

from msgspec import Struct

MOST = 20
_SOON = timedelta(minutes=15)

TOO_MANY = f"it was taken up {MOST} times, and each time whoever had it was lost within a quarter of an hour: it may be what ends them"


class Takeovers(Struct, frozen=True):
    """``count`` claims, each soon after the one before it; the last was made ``at``."""

    count: int = 0
    at: datetime | None = None

    def claimed(self, at: datetime) -> "Takeovers":
        """With one more claim. After a longer time it is the first again: restarts are no sign of anything."""
        is_soon = self.at is not None and at - self.at < _SOON
        return Takeovers(self.count + 1 if is_soon else 1, at)

    @property
    def are_too_many(self) -> bool:
        """Whether nobody else should take it up."""
        return self.count >= MOST
