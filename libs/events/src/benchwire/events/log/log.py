"""The whole log, with its exclusive decisions: the one loop that folds, decides, appends, and begins again when somebody was faster."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import stamina

from benchwire.events import catalog
from benchwire.events.blueprint import BlueprintCreated
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.flash import FlashReported, FlashRequested
from benchwire.events.log.errors import BEHIND, SILENT, Behind, Contended, HistoryGone, LogUnavailable
from benchwire.events.log.records import Decided, Expected, Recorded, State
from benchwire.events.log.writing import Writing
from benchwire.events.serial import CaptureRequested
from benchwire.events.task import TaskRequested

# With what an aggregate begins; sessions are left out, of which an outside client may report any part.
_BEGINNINGS = frozenset(
    {TaskRequested, BlueprintCreated, DocumentCreated, FlashRequested, FlashReported, CaptureRequested}
)


class Log(Writing):
    """The log of the lab, through one connection."""

    async def decide(
        self,
        types: Sequence[type[Event]],
        initial: State,
        evolve: Callable[[State, Event], State],
        decide: Callable[[State], Event | None],
        *,
        event_id: str | None = None,
        caused_by: str | None = None,
        deadline_s: float = 10.0,
        known: int = 0,
        at_least: int = 0,
        **ids: str,
    ) -> Decided[State]:
        """Makes one exclusive decision about one aggregate: fold, decide, append; when somebody was faster, all again.

        ``types`` are the events that matter (all of one aggregate, named by ``ids``). ``decide`` is pure: it returns the event, or None
        when there is nothing to do, or raises, and may run more than once; ``event_id`` is for the event it returns. ``initial`` holds what
        was said up to the sequence ``known``. ``at_least`` is a sequence at which one of ``types`` surely stood: an event that was decided on
        an old state is refused, but that there is nothing to do would be believed.

        Raises ``Contended`` when ``deadline_s`` is not enough, ``LogUnavailable`` when the log is silent (or ``Behind``) for that long, and
        ``HistoryGone`` when it has lost how the aggregate began.
        """
        aggregate = catalog.aggregate_of(types[0], **ids)
        filters = catalog.filters_of(types, **ids)
        try:
            async with asyncio.timeout(deadline_s):
                async for attempt in stamina.retry_context(
                    on=(Contended, Behind), attempts=None, timeout=deadline_s, wait_initial=0.01, wait_max=0.2
                ):
                    with attempt:
                        last = await self.last_sequence(aggregate)
                        if last < at_least:
                            raise Behind(BEHIND)
                        state = initial
                        seen: set[tuple[str, type[Event]]] = set()  # what was published again counts once
                        is_begun = known > 0
                        async with aclosing(self.read(filters, after=known, at_least=at_least)) as events:
                            async for one in events:
                                is_begun = is_begun or await self._is_begun(one, types)
                                if one.sequence <= last and (one.id, type(one.event)) not in seen:
                                    seen.add((one.id, type(one.event)))
                                    state = evolve(state, one.event)
                        event = decide(state)
                        if event is None:
                            return Decided(state, None, last)
                        event = self.published(event)  # so that the state is what the log comes to
                        guard = Expected(last, aggregate)
                        sequence = await self.append(
                            event, event_id=event_id, caused_by=caused_by, expected=guard, deadline_s=deadline_s
                        )
                        return Decided(evolve(state, event), event, sequence)
        except TimeoutError as error:
            raise LogUnavailable(SILENT) from error
        raise AssertionError("unreachable: retry_context returns or raises")

    async def _is_begun(self, first: Recorded, types: Sequence[type[Event]]) -> bool:
        """True. Raises ``HistoryGone`` when the aggregate began before ``first``, the oldest of its events that the log still has."""
        if _BEGINNINGS.intersection(types) and type(first.event) not in _BEGINNINGS:
            begins = await self.beginning()
            if begins.is_gone:
                subject = catalog.subject_of(first.event).rsplit(".", 1)[0]
                raise HistoryGone(
                    f"how {subject} began is no longer in the log, which begins at event {begins.first} now"
                )
        return True
