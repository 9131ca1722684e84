"""From what a tool says to progress samples: never back, at most ten a second. Pure; the time is passed in.

Each stage that can be measured is seen, however short; of the others, those that last long enough.
"""

from collections import deque
from datetime import datetime

from benchwire.events.live import FlashProgress
from benchwire.flash_agent.commands import Names
from benchwire.flash_agent.tools.worker_protocol import STAGES, At, Stage

PERIOD_S = 0.1


class Meter:
    """The progress of one attempt. ``heard`` takes, ``due`` gives."""

    def __init__(self, of: Names) -> None:
        self._of = of
        self._waiting: deque[At] = deque()
        self._stage: Stage = "connecting"
        self._done_bytes = 0
        self._stage_began_s = 0.0
        self._sent_s = float("-inf")

    def heard(self, at: At, *, now_s: float) -> None:
        """The tool is there now."""
        if STAGES.index(at.stage) < STAGES.index(self._stage):
            return
        if at.stage != self._stage:
            self._stage, self._done_bytes, self._stage_began_s = at.stage, 0, now_s
        if at.done_bytes < self._done_bytes:
            return
        self._done_bytes = at.done_bytes
        if self._waiting and (self._waiting[-1].stage == at.stage or not self._waiting[-1].total_bytes):
            self._waiting.pop()
        self._waiting.append(at)

    def due(self, *, now_s: float, now: datetime) -> FlashProgress | None:
        """The next sample, when there is one and the last is long enough ago."""
        # A timer may fire a little early; it is told to wait the whole period.
        if not self._waiting or now_s - self._sent_s < PERIOD_S - 0.001:
            return None
        self._sent_s = now_s
        at = self._waiting.popleft()
        speed = self._speed(at, now_s)
        left = at.total_bytes - at.done_bytes
        return FlashProgress(
            timestamp=now,
            host=self._of.host,
            job_id=self._of.job_id,
            device=self._of.device,
            stage=at.stage,
            done_bytes=at.done_bytes,
            total_bytes=at.total_bytes,
            speed_bytes_per_s=round(speed, 1),
            remaining_s=round(left / speed, 3) if speed else None,
        )

    def _speed(self, at: At, now_s: float) -> float:
        elapsed_s = now_s - self._stage_began_s
        return at.done_bytes / elapsed_s if at.stage == self._stage and elapsed_s > 0 else 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._waiting)
