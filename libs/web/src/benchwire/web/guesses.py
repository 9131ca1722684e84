"""Guessing of tokens, made hopeless where it is not: with a token that a person thought up.

``benchwire token create`` makes tokens of 256 random bits, which nobody guesses. ``BENCHWIRE_TOKEN`` can be anything. So an address that has sent
too many wrong tokens is not told for a while whether a short one is right, except one that was right from that address before: who has called
already goes on, also beside a client that has a wrong token and does not stop.
"""

import time
from collections.abc import Callable

from benchwire.web.callers import Caller

WINDOW_S = 60
_MOST = 10_000  # addresses, or addresses with their tokens


class Guesses:
    """Counts wrong tokens; ``most`` of one address within a minute, 0 for no limit. ``now`` tells the time in seconds."""

    def __init__(self, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._until = 0.0
        self._wrong: dict[str, int] = {}
        self._right: set[tuple[str, str]] = set()

    def are_too_many(self, peer: str, caller: Caller | None) -> bool:
        """Whether ``peer``, whose token is that of ``caller`` or nobody's, has guessed so often that it is not told which."""
        if not self._most or (caller is not None and not caller.is_guessable):
            return False
        if caller is not None and (peer, caller.name) in self._right:
            return False
        self._begin()
        if self._wrong.get(peer, 0) >= self._most:
            return True
        if caller is None:
            if len(self._wrong) < _MOST:
                self._wrong[peer] = self._wrong.get(peer, 0) + 1
        elif len(self._right) < _MOST:
            self._right.add((peer, caller.name))
        return False

    def _begin(self) -> None:
        now = self._now()
        if now >= self._until:
            self._until = now + WINDOW_S
            self._wrong.clear()
