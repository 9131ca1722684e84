"""Many events in one call: read piece by piece, published in windows, counted line by line.

However long the call is, no more than a window of it is in memory: nothing is read on while a window waits for the log, and no window is
published before the rows show the one before the last.
"""

import hashlib
from collections.abc import AsyncIterable, Sequence

import msgspec
from nats.errors import Error as NatsError

from benchwire.events.log import LogUnavailable
from benchwire.events.projection import ProjectionBehind
from benchwire.observability.lab import Lab
from benchwire.observability.lines import MOST_ERRORS, OF_ONE, Line, Wrong
from benchwire.observability.wire import sessions as wire

LONGEST_LINE_BYTES = 1 << 20
_OF_ALL = (LogUnavailable, ProjectionBehind, NatsError)
_WINDOW = 256
_WINDOW_BYTES = 1 << 20
_BEHIND_S = 30.0
_WRITE_S = 12.0  # a disk that is busy for a moment shall not break off what has half landed


class Tally(msgspec.Struct):
    """What came of the lines. ``errors`` are the first of those that were refused; ``trouble`` is why it was broken off, if it was."""

    accepted: int = 0
    rejected: int = 0
    errors: list[Wrong] = []
    sequence: int = 0
    trouble: str | None = None

    def refuse(self, line: int, detail: str) -> None:
        """Counts a line that did not land."""
        self.rejected += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(Wrong(line, detail))


def event_id(session_id: str, key: str | None, number: int) -> str | None:
    """The id that makes a repeated call land once: clients that can repeat send ``Idempotency-Key``."""
    if key is None:
        return None
    return "hook-" + hashlib.sha256(f"{session_id}\0{number}\0{key}".encode(errors="replace")).hexdigest()[:40]


async def taken(lab: Lab, pieces: AsyncIterable[Sequence[Line]], *, session_id: str | None, key: str | None) -> Tally:
    """Publishes the events in ``pieces`` in their order, and returns when the rows show those that landed.

    When the log or the rows fail it, it ends early: ``trouble`` says why, and what is counted has landed.
    """
    tally = Tally()
    window = _Window(lab, tally, session_id, key)
    try:
        async for piece in pieces:
            for line in piece:
                window.add(line)
                if window.is_full:
                    await window.land()
        await window.land()
        await lab.shown(tally.sequence, within_s=_BEHIND_S)
    except _OF_ALL as error:
        tally.trouble = str(error)
    tally.errors.sort(key=lambda one: one.line)
    return tally


class _Window:
    """Events that are published together: what follows waits until the log has them."""

    def __init__(self, lab: Lab, tally: Tally, session_id: str | None, key: str | None) -> None:
        self._lab = lab
        self._tally = tally
        self._session_id = session_id
        self._key = key
        self._events: list[tuple[int, wire.Hook]] = []
        self._bytes = 0
        self._before = 0  # the last sequence of the window before the last

    @property
    def is_full(self) -> bool:
        return len(self._events) >= _WINDOW or self._bytes >= _WINDOW_BYTES

    def add(self, line: Line) -> None:
        if line.body is None:
            self._refuse(line.number, f"the line is longer than {LONGEST_LINE_BYTES} bytes")
            return
        self._lab.metrics.came(line.body)
        try:
            self._events.append((line.number, wire.hook(line.body, self._session_id)))
        except OF_ONE as error:
            self._refuse(line.number, str(error))
        else:
            self._bytes += len(line.body)

    async def land(self) -> None:
        events, self._events, self._bytes = self._events, [], 0
        await self._lab.shown(self._before, within_s=_BEHIND_S)
        self._before = self._tally.sequence
        # Sent in this order over one connection, so that they also stand in the log in this order.
        outcomes = await self._lab.log.append_all(
            [event for _, event in events],
            event_ids=[event_id(event.session_id, self._key, number) for number, event in events],
            deadline_s=_WRITE_S,
        )
        trouble: list[Exception] = []
        for (number, event), outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, int):
                self._tally.accepted += 1
                self._tally.sequence = max(self._tally.sequence, outcome)
                self._lab.metrics.took(event)
            elif isinstance(outcome, OF_ONE):
                self._refuse(number, str(outcome), event)
            else:
                trouble.append(outcome)
        if trouble:
            raise trouble[0]

    def _refuse(self, number: int, detail: str, event: wire.Hook | None = None) -> None:
        self._tally.refuse(number, detail)
        self._lab.metrics.refused(event)
