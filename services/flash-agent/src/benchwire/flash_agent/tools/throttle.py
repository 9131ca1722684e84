"""No more than so many bytes a second. Pure; the time is passed in."""

CATCH_UP_S = 0.25  # how much of the time that a slow block took, or a late waking, the next ones may make up for
STEP_S = 0.25
MIN_STEP_BYTES = 4096  # the smallest that flash can erase


class Throttle:
    """A token bucket, seen from the other side: ``spend`` says when what was sent is paid for."""

    def __init__(self, max_bytes_per_s: int | None, *, now_s: float) -> None:
        self._rate = _rate(max_bytes_per_s)
        self._paid_s = now_s

    @property
    def max_bytes_per_s(self) -> int | None:
        """The limit; None is none."""
        return self._rate

    @property
    def paid_s(self) -> float:
        """The time at which the next block may be sent."""
        return self._paid_s

    def begin(self, now_s: float) -> None:
        """Blocks follow each other from now on; time in which nothing was to be sent cannot be made up for."""
        self._paid_s = max(self._paid_s, now_s)

    def step_bytes(self, most: int) -> int:
        """How large a block should be at most, so that what goes out is spread evenly; ``most`` is what the tool would send."""
        if self._rate is None:
            return most
        return max(min(most, int(self._rate * STEP_S)), min(most, MIN_STEP_BYTES))

    def spend(self, size_bytes: int, *, began_s: float) -> None:
        """``size_bytes`` were sent, from ``began_s`` on."""
        if self._rate is not None:
            self._paid_s = max(self._paid_s, began_s - CATCH_UP_S) + size_bytes / self._rate

    def limit(self, max_bytes_per_s: int | None, *, now_s: float) -> None:
        """Another limit from now on; what is owed is paid at the new rate."""
        owed_bytes = max(0.0, self._paid_s - now_s) * (self._rate or 0)
        self._rate = _rate(max_bytes_per_s)
        self._paid_s = now_s + (owed_bytes / self._rate if self._rate else 0.0)


def _rate(max_bytes_per_s: int | None) -> int | None:
    return None if max_bytes_per_s is None else max(1, max_bytes_per_s)
