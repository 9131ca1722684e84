"""Whether the disk is quick enough for a small commit to be waited for on the event loop.

To wake a thread, and to be woken by it, takes longer than a few rows do, and the two of them take turns in the interpreter. But a loop that
waits for a disk serves nobody.
"""

import contextlib
import time
from collections.abc import Generator

FEW = 64  # events whose rows take the loop no longer than it may be held up
_QUICK_S = 0.02
_AGAIN_S = 1.0
_MOST_S = 60.0


class Pace:
    """How long small commits take on the event loop. After a slow one there is none for a while, and longer each time in a row."""

    def __init__(self) -> None:
        self._slow_until = 0.0
        self._pause_s = _AGAIN_S

    @property
    def is_quick(self) -> bool:
        """Whether none was slow lately."""
        return time.monotonic() >= self._slow_until

    @contextlib.contextmanager
    def measured(self) -> Generator[None, None, None]:
        """Around a small commit on the event loop. In a thread it would also wait for the interpreter, which says nothing of the disk."""
        began = time.monotonic()
        try:
            yield
        finally:
            now = time.monotonic()
            if now - began > _QUICK_S:
                self._slow_until = now + self._pause_s
                self._pause_s = min(2 * self._pause_s, _MOST_S)
            else:
                self._pause_s = _AGAIN_S
