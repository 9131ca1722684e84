"""Listening in on what boards print, byte for byte; whoever listens to a board goes on listening when it is plugged in anew."""

import contextlib
from collections import defaultdict
from collections.abc import Generator

from benchwire.flash_agent.console import Tap


class Taps:
    """Who listens to which board. A listener gets bytes as they are read, and how many were lost right before them; it must be quick."""

    def __init__(self) -> None:
        self._taps: defaultdict[str, list[Tap]] = defaultdict(list)

    def of(self, device: str) -> Tap:
        """What a board's monitor gives its bytes to."""

        def heard(data: bytes, lost_bytes: int) -> None:
            for tap in self._taps.get(device, ()):
                tap(data, lost_bytes)

        return heard

    @contextlib.contextmanager
    def listening(self, device: str, tap: Tap) -> Generator[None, None, None]:
        """``tap`` hears the board for the time of the context."""
        self._taps[device].append(tap)
        try:
            yield
        finally:
            self._taps[device].remove(tap)
            if not self._taps[device]:
                del self._taps[device]
