"""Whether one could announce himself all the time, and so whether silence says anything about others.

While a cluster elects a new leader, or the way to it is cut, nobody's presence can be written, and everybody's expires. Who looks a moment later
would take all others for gone, and what they have for left behind.
"""

import time
from collections.abc import Callable


class Pulse:
    """The announcements of one connection that were acknowledged. One that never announces itself can say nothing against what it reads."""

    def __init__(self, *, beat_s: float, forgotten_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Announced every ``beat_s``; what was not announced for ``forgotten_s`` looks gone."""
        self._longest_s = 2 * beat_s
        self._forgotten_s = forgotten_s
        self._clock = clock
        self._last: float | None = None
        self._gap_ended: float | None = None
        self._waited_since: float | None = None

    def beat(self) -> None:
        """An announcement was acknowledged."""
        now = self._clock()
        if self._last is not None and now - self._last > self._longest_s:
            self._gap_ended = now
        self._last = self._waited_since = now

    def wait(self) -> None:
        """Something was done about the silence; it is counted anew."""
        self._waited_since = self._clock()

    @property
    def silent_s(self) -> float:
        """For how long nothing was acknowledged, since the last announcement or the last ``wait``."""
        return 0.0 if self._waited_since is None else self._clock() - self._waited_since

    def stop(self) -> None:
        """There will be no more of them."""
        self._last = self._gap_ended = self._waited_since = None

    @property
    def is_steady(self) -> bool:
        """Whether others could announce themselves, too, for as long as it takes to look gone."""
        now = self._clock()
        if self._last is not None and now - self._last > self._longest_s:
            return False
        return self._gap_ended is None or now - self._gap_ended >= self._forgotten_s
