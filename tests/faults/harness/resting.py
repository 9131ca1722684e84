"""A lab that comes to rest after all that was asked of it, and what is true of it then."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from nats.errors import Error as NatsError

from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.flash import FlashRequested
from benchwire.events.log import LogUnavailable, Recorded
from benchwire.events.testing.eventually import eventually

from . import invariants
from .invariants import Finding, Heard, Rows
from .load.ledger import Ledger

_HEARD_S = 60.0
_LOOK_EVERY_S = 0.5  # at the whole log


async def all_over(bus: Bus, *, within_s: float) -> None:
    """Returns when all that was asked for has ended. Raises ``AssertionError`` with what has not."""
    left: list[Finding] = []

    async def over() -> bool:
        # It may be electing once more: what looked well was told by a leader that had lost the others.
        with contextlib.suppress(LogUnavailable, NatsError, OSError, TimeoutError):
            left[:] = [await invariants.ended_once_or_owned(bus, await invariants.story(bus))]
            if left[0].holds:
                return True
        await asyncio.sleep(_LOOK_EVERY_S)
        return False

    try:
        await eventually(over, within_s=within_s)
    except AssertionError:
        invariants.check(left)
        raise


async def everybody_heard(bus: Bus, ledger: Ledger, http: httpx.AsyncClient) -> None:
    """Returns when every listener has heard the newest fact that it is to hear.

    Raises ``AssertionError`` when somebody has not; to each of those it then seems that it should have, and ``missed_nothing`` says what it missed.
    """
    facts = await invariants.story(bus)
    of_lab = max(invariants.due_on_observability(facts, await invariants.events_shown(http)), default=0)
    of_documents = max(invariants.due_on_documents(facts), default=0)
    due = [*((one, of_lab) for one in ledger.heard), *((one, of_documents) for one in ledger.heard_of_documents)]

    def late() -> list[tuple[Heard, int]]:
        return [(one, newest) for one, newest in due if one.last[0] < newest]

    try:
        await eventually(lambda: not late(), within_s=_HEARD_S, what="everybody has heard the newest fact")
    except AssertionError as error:
        told = "; ".join(f"{one.name} heard {one.last[0]} of {newest}" for one, newest in late())
        for one, newest in late():
            one.last = (newest, 0)
        raise AssertionError(f"{error}: {told}") from None


async def looked_at(
    bus: Bus,
    ledger: Ledger,
    http: httpx.AsyncClient,
    store: httpx.AsyncClient,
    *,
    flashes: Mapping[str, tuple[Path, int]],
    rows: Sequence[Rows],
    scratch: Path,
) -> list[Finding]:
    """Every invariant but of bytes that nobody needs, which are freed late. ``http`` and ``store`` are clients of the two doors."""
    facts = await invariants.story(bus)
    listed = (await http.get("/api/devices")).raise_for_status().json()["devices"]
    devices = {one["device_id"]: one for one in listed}
    due = invariants.due_on_observability(facts, await invariants.events_shown(http))
    return [
        Finding(invariant="no call is answered in a way that it never should be", figures={}, wrong=ledger.strange),
        invariants.acknowledged_once(facts, ledger.acked),
        await invariants.ended_once_or_owned(bus, facts),
        await invariants.shown_as_ended(http, facts),
        invariants.missed_nothing("observability", due, ledger.heard),
        invariants.missed_nothing("documents", invariants.due_on_documents(facts), ledger.heard_of_documents),
        await invariants.documents_whole(store, ledger.kept),
        invariants.boards_as_their_jobs_say(facts, await _images(bus, facts), devices, flashes),
        await invariants.rows_equal_a_rebuild(bus, rows, scratch),
    ]


async def _images(bus: Bus, facts: Sequence[Recorded]) -> dict[str, bytes]:
    """What each flash job was to write."""
    blobs, requested = Blobs(bus), [one.event for one in facts if isinstance(one.event, FlashRequested)]
    return {one.job_id: await blobs.get(one.image.digest) for one in requested}
