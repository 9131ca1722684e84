"""From what a tool says to progress samples: never back, at most ten a second, each stage seen however short. Pure; the time is passed in.

The speed is smoothed: an exponential moving average whose weight falls to 1/e within ``SMOOTHING_S``, over the time that the tool itself
took, so that neither a pause nor a slow listener counts. What is left is told at that speed.
"""

import math
from collections import deque
from datetime import datetime

from benchwire.events.live import FlashProgress
from benchwire.flash_agent.commands import Names
from benchwire.flash_agent.tools.worker_protocol import STAGES, At, Stage

PERIOD_S = 0.1
SMOOTHING_S = 2.0


class Speed:
    """How fast a stage goes, in bytes a second."""

    def __init__(self) -> None:
        self._done_bytes = 0
        self._spent_s = 0.0
        self.bytes_per_s = 0.0

    def moved(self, done_bytes: int, spent_s: float) -> None:
        """The stage is that far, after so much time."""
        step_s = spent_s - self._spent_s
        if step_s <= 0 or done_bytes <= self._done_bytes:
            return
        latest = (done_bytes - self._done_bytes) / step_s
        # The first steps are averaged plainly: with a fixed weight, a first block that happened to be quick would be told for seconds.
        weight = max(1 - math.exp(-step_s / SMOOTHING_S), step_s / spent_s)
        self.bytes_per_s += weight * (latest - self.bytes_per_s)
        self._done_bytes, self._spent_s = done_bytes, spent_s


class Meter:
    """The progress of one attempt, the ``attempt``-th of its job. ``heard`` takes, ``due`` gives."""

    def __init__(self, of: Names, *, attempt: int = 1) -> None:
        self._of = of
        self._attempt = attempt
        self._waiting: deque[tuple[At, float]] = deque()  # one of each stage at most, with its speed
        self._stage: Stage = "connecting"
        self._done_bytes = 0
        self._speed = Speed()
        self._is_told = False  # whether the stage is
        self._sent_s = float("-inf")

    def heard(self, at: At) -> None:
        """The tool is there now. A stage that it goes back to, to erase for the next image, is not told."""
        if STAGES.index(at.stage) < STAGES.index(self._stage):
            return
        if at.stage != self._stage:
            self._stage, self._done_bytes, self._speed = at.stage, 0, Speed()
        elif at.done_bytes < self._done_bytes or (at.total_bytes == 0 and self._is_told):
            return  # back, or once more into a stage that cannot be measured
        self._is_told = True
        self._done_bytes = at.done_bytes
        self._speed.moved(at.done_bytes, at.spent_s)
        if self._waiting and self._waiting[-1][0].stage == at.stage:
            self._waiting.pop()
        self._waiting.append((at, self._speed.bytes_per_s))

    def due(self, *, now_s: float, now: datetime) -> FlashProgress | None:
        """The next sample, when there is one and the last is long enough ago."""
        # A timer may fire a little early; it is told to wait the whole period.
        if not self._waiting or now_s - self._sent_s < PERIOD_S - 0.001:
            return None
        self._sent_s = now_s
        at, speed = self._waiting.popleft()
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
            attempt=self._attempt,
        )

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._waiting)
