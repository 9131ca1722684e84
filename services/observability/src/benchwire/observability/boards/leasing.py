"""Leases: a place in the queue, the wait for a board, more time for it, and its return.

Who gets a board is decided by the hosts (see ``benchwire.events.lease``); here is asked, waited, renewed and given back. Each change is made
for what the log says at that moment, and made again when somebody else was faster.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import stamina

from benchwire.events.catalog import aggregate_of
from benchwire.events.device import DeviceLeased
from benchwire.events.event import Event, token
from benchwire.events.log import Contended, Expected
from benchwire.observability import commands, errors, lease, queries
from benchwire.observability.boards import finding
from benchwire.observability.boards.waiting import either
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.queries import Lease, Row
from benchwire.observability.session import iso
from benchwire.observability.wire.leasing import AskLease

_LOOK_EVERY_S = 2.0  # the end of its time is told by nobody while its host is away


async def known(lab: Lab, lease_id: str) -> Lease:
    """The lease of that id, as it is now. Raises ``LeaseUnknown``."""
    token(lease_id, "lease_id")
    now = iso(lab.now())
    return await lab.found(lambda db: queries.lease(db, lease_id, now), errors.LeaseUnknown(lease_id))


async def asked(lab: Lab, ask: AskLease, lease_id: str, *, event_id: str | None, left: asyncio.Event) -> Lease:
    """The lease when it is held, or as it waits when it may wait for longer than this call.

    ``left`` is set when nobody waits for the answer any more. Raises ``LeaseNotHad`` when no board came free in time, ``DeviceUnknown``,
    ``DeviceAmbiguous`` and ``Unusable``.
    """
    host, device = ask.host, None
    if ask.device_id is not None:
        row = await finding.named(lab, ask.device_id, ask.host)
        host, device = row["host"], row["device"]
    event = commands.request_lease(ask, lease_id, host=host, device=device, now=lab.now())
    may_stay = ask.patience_s is not None and ask.patience_s > ask.wait_s
    await lab.write(event, event_id=event_id)
    found = await waited(lab, lease_id, ask.wait_s if may_stay else commands.patience(ask), left=left)
    if left.is_set() and not may_stay:
        return await ended(lab, lease_id, commands.UNWANTED)
    if found.row["state"] == queries.WAITING and not may_stay:  # it may be held in this very moment
        found = await ended(lab, lease_id, commands.NOT_IN_TIME, keep_held=True)
    if found.state == queries.ENDED:
        raise errors.LeaseNotHad(await _why(lab, found))
    return found


async def _why(lab: Lab, found: Lease) -> str:
    wish = queries.wish(found.row)
    rows = await finding.like(lab, wish)
    now = iso(lab.now())
    taken = [
        (f"{row['device']} on {row['host']}", queries.holder(row, now) or "") for row in rows if _is_taken(row, now)
    ]
    return commands.why_not(wish, taken, is_there=bool(rows))


def _is_taken(row: Row, now: str) -> bool:
    return bool(row["open_jobs"]) or queries.holder(row, now) is not None


async def waited(lab: Lab, lease_id: str, wait_s: float, *, left: asyncio.Event) -> Lease:
    """The lease when it no longer waits, or after ``wait_s``, or when ``left`` is set. Raises ``LeaseUnknown``."""
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    with lab.endings.watched(f"lease {lease_id}") as told:
        while True:
            told.clear()
            found = await known(lab, lease_id)
            rest_s = until - loop.time()
            if found.state != queries.WAITING or rest_s <= 0 or left.is_set():
                return found
            await either(told, left, within_s=min(_LOOK_EVERY_S, rest_s))


async def renewed(lab: Lab, lease_id: str, for_s: float) -> Lease:
    """The lease with more time. Raises ``LeaseUnknown``, ``LeaseOver`` and ``Unusable``."""
    found = await known(lab, lease_id)
    if found.state != queries.HELD:
        raise errors.LeaseOver(lease_id)
    await _decided(lab, found.row, lambda held: commands.renew(held, lease_id, for_s, lab.now()))
    return await known(lab, lease_id)


async def ended(lab: Lab, lease_id: str, reason: str, *, keep_held: bool = False) -> Lease:
    """The lease after its end: it left the queue, or its board was given back. With ``keep_held`` one that is held stays.

    Raises ``LeaseUnknown``.
    """
    found = await known(lab, lease_id)
    if found.row["state"] == queries.WAITING:
        made = await lab.log.decide(
            lease.OF_ITS_REQUEST, None, lease.request_after,
            lambda newest: commands.withdraw(newest, lease_id, reason, lab.now()),
            deadline_s=WRITE_DEADLINE_S, lease_id=lease_id,
        )  # fmt: skip
        await lab.shown(made.sequence)
        found = await known(lab, lease_id)
    if found.row["state"] == queries.HELD and not keep_held:
        await _decided(lab, found.row, lambda held: commands.release(held, lease_id, reason, lab.now()))
        found = await known(lab, lease_id)
    return found


async def _decided(lab: Lab, row: Row, decide: Callable[[DeviceLeased | None], Event | None]) -> None:
    """One exclusive decision about who holds a board. The rows are its memory: the log of a board of years is long."""
    host, device = row["host"], row["device"]
    aggregate = aggregate_of(DeviceLeased, host=host, device=device)
    async for attempt in stamina.retry_context(
        on=Contended, attempts=None, timeout=WRITE_DEADLINE_S, wait_initial=0.01, wait_max=0.2
    ):
        with attempt:
            last = await lab.log.last_sequence(aggregate)
            await lab.shown(last)
            event = decide(await lab.read(partial(queries.held_lease, host=host, device=device)))
            if event is not None:
                guard = Expected(last, aggregate)
                await lab.shown(await lab.log.append(event, expected=guard, deadline_s=WRITE_DEADLINE_S))
