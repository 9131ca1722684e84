"""One run: a lab under load, the faults of a plan one after the other, and what is true of it at the end."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from benchwire.events.blobs import Blobs
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.testing.eventually import eventually

from . import injections, invariants
from .invariants import Finding, Heard
from .lab import BOARDS, Lab, lab_in, means
from .load import documents, flashing, ingest, runs, sockets
from .load.ledger import Ledger
from .plan import TARGETS, Fault, Kind, planned
from .report import Injected, Report

_DRAINED_S = 240.0
_LAST_HEARD_S = 60.0
_REPORTERS = 3
_KEEPERS = 2
_LISTENERS = 3


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done. ``hold_s`` is the longest time that a fault lasts; ``pace`` stretches the pauses of the load.

    ``only`` are the kinds of faults that are wanted; empty for all that this machine allows.
    """

    seed: int
    faults: int
    hold_s: float
    pace: float = 1.0
    only: list[Kind] = []
    again: str = ""


Tell = Callable[[str], None]


async def run(wanted: Wanted, directory: Path, tell: Tell) -> Report:
    """Does it, in an empty ``directory``. ``tell`` hears a line now and then."""
    able = means()
    for kind, reason in able.missing.items():
        tell(f"left out: {kind}: {reason}")
    kinds = [one for one in wanted.only or TARGETS if one not in able.missing]
    plan = planned(wanted.seed, wanted.faults, kinds, hold_s=wanted.hold_s)
    ledger = Ledger(wanted.seed)
    grace_s = 3 * wanted.hold_s + 4  # no upload may be paused for so long by a fault, or it is taken for dead
    async with lab_in(directory, able, grace_s=grace_s) as lab:
        tell("the lab is up")
        begun = time.monotonic()
        async with _Load(ledger, lab, wanted) as load:
            injected, trouble = await _broken(plan, lab, ledger, tell)
            if trouble.holds:
                await load.drained(tell)
            load_s = time.monotonic() - begun
            # Of a lab in which something stays broken nothing else can be asked.
            findings = [trouble, *(await _looked_at(lab, ledger, directory, tell) if trouble.holds else ())]
    findings.append(await asyncio.to_thread(invariants.nothing_runs_below, directory))
    return Report(
        seed=wanted.seed, again=wanted.again, faults=injected, missing={str(kind): why for kind, why in able.missing.items()}, load_s=load_s,
        acknowledged=dict(Counter(tag for tag, _ in ledger.acked)), answers=dict(ledger.answers), repeated=ledger.repeated,
        unresolved=ledger.unresolved, findings=findings,
    )  # fmt: skip


async def _broken(plan: list[Fault], lab: Lab, ledger: Ledger, tell: Tell) -> tuple[list[Injected], Finding]:
    """Every fault of the plan, each after the one before was got over; what was not ends the plan."""
    begun, told, wrong = time.monotonic(), list[Injected](), list[str]()
    for fault in plan:
        await asyncio.sleep(fault.pause_s)
        at_s, under_way = time.monotonic() - begun, dict(ledger.under_way)
        what = await injections.done(lab, fault)
        ended = time.monotonic()
        try:
            # Without the log nobody is well.
            await (lab.well() if fault.target == "nats" else lab.well(fault.target))
        except AssertionError as error:
            wrong.append(f"fault {fault.number}, {fault.kind} of {fault.target} ({what}): {error}")
        told.append(
            Injected(
                number=fault.number, kind=fault.kind, target=fault.target, what=what, at_s=at_s,
                recovered_s=time.monotonic() - ended, under_way=under_way,
            )
        )  # fmt: skip
        tell(f"{fault.number:3} at {at_s:6.1f} s: {fault.target}: {what}; well after {told[-1].recovered_s:.1f} s")
        if wrong:
            tell(wrong[-1])
            break
    return told, Finding(invariant="every part gets well by itself", figures={"faults": len(told)}, wrong=wrong)


class _Load:
    """All clients, from the moment the context is entered; leaving it ends them."""

    def __init__(self, ledger: Ledger, lab: Lab, wanted: Wanted) -> None:
        self._ledger = ledger
        self._lab = lab
        self._wanted = wanted
        self._stack = AsyncExitStack()
        self._asking: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []
        self._enough = asyncio.Event()

    async def __aenter__(self) -> "_Load":
        http = await self._stack.enter_async_context(self._lab.client("observability"))
        store = await self._stack.enter_async_context(self._lab.client("documents"))
        ledger, pace = self._ledger, self._wanted.pace
        clients = [
            *(ingest.report(ledger, http, f"hooks-{one}", pause_s=0.15 * pace) for one in range(_REPORTERS)),
            *(flashing.flash(ledger, http, board, pause_s=1.0 * pace) for board in BOARDS),
            *(documents.keep(ledger, store, f"keeper-{one}", pause_s=0.3 * pace) for one in range(_KEEPERS)),
            runs.sessions(ledger, http, "talker-1", pause_s=2.0 * pace),
            runs.sessions(ledger, http, "talker-2", pause_s=2.0 * pace),
            runs.tasks(ledger, http, "maker", pause_s=4.0 * pace),
        ]
        self._asking = [asyncio.create_task(one) for one in clients]
        of_lab = f"{self._lab.site.observability_url.replace('http', 'ws', 1)}/ws"
        of_documents = f"{self._lab.site.documents_url.replace('http', 'ws', 1)}/ws"
        ledger.heard = [Heard(name=f"listener-{one}") for one in range(_LISTENERS)]
        ledger.heard_of_documents = [Heard(name="listener of documents")]
        for url, listeners in ((of_lab, ledger.heard), (of_documents, ledger.heard_of_documents)):
            for heard in listeners:
                listening = sockets.listen(ledger, heard, url, stays_s=4.0, done=self._enough)
                self._listening.append(asyncio.create_task(listening))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ledger.closing.set()
        self._enough.set()
        for task in (*self._asking, *self._listening):
            task.cancel()
        await asyncio.wait([*self._asking, *self._listening])
        await self._stack.aclose()

    async def drained(self, tell: Tell) -> None:
        """What was begun is brought to its end, nothing new is begun, and everybody who listens has heard the last of it."""
        self._ledger.closing.set()
        await asyncio.gather(*self._asking)
        tell("nothing new is asked for")
        await self._lab.well()
        try:
            await eventually(self._all_over, within_s=_DRAINED_S, what="all that was asked for has ended")
        except AssertionError as error:
            tell(str(error))  # and the invariants say what has not
        tell("all has ended")

    async def _all_over(self) -> bool:
        facts = await invariants.story(self._lab.bus)
        over = (await invariants.ended_once_or_owned(self._lab.bus, facts)).holds
        return over or not await asyncio.sleep(0.5, result=True)


async def _looked_at(lab: Lab, ledger: Ledger, directory: Path, tell: Tell) -> list[Finding]:
    """Every invariant, of a lab that has come to rest."""
    async with lab.client("observability") as http, lab.client("documents") as store:
        await _everybody_heard(lab, ledger, tell)
        facts = await invariants.story(lab.bus)
        devices = {
            one["device_id"]: one for one in (await http.get("/api/devices")).raise_for_status().json()["devices"]
        }
        images = await _images(lab, facts)
        shown = await invariants.events_shown(http)
        of_lab, of_documents = invariants.due_on_observability(facts, shown), invariants.due_on_documents(facts)
        return [
            Finding(invariant="no call is answered in a way that it never should be", figures={}, wrong=ledger.strange),
            invariants.acknowledged_once(facts, ledger.acked),
            await invariants.ended_once_or_owned(lab.bus, facts),
            await invariants.shown_as_ended(http, facts),
            invariants.missed_nothing("observability", of_lab, ledger.heard),
            invariants.missed_nothing("documents", of_documents, ledger.heard_of_documents),
            await invariants.documents_whole(store, ledger.kept),
            await invariants.bytes_needed_and_no_more(lab.bus, facts),
            invariants.boards_as_their_jobs_say(facts, images, devices, lab.flashes()),
            await invariants.rows_equal_a_rebuild(lab.bus, lab.rows(), directory / "fresh"),
        ]


async def _everybody_heard(lab: Lab, ledger: Ledger, tell: Tell) -> None:
    """Until every listener has heard the newest fact, or it is clear that somebody will not: the invariants say what was missed."""
    facts = await invariants.story(lab.bus)
    async with lab.client("observability") as http:
        newest = max(invariants.due_on_observability(facts, await invariants.events_shown(http)))
    of_documents = max(invariants.due_on_documents(facts), default=0)

    def heard() -> bool:
        return all(one.last[0] >= newest for one in ledger.heard) and all(
            one.last[0] >= of_documents for one in ledger.heard_of_documents
        )

    try:
        await eventually(heard, within_s=_LAST_HEARD_S, what=f"everybody has heard {newest}")
    except AssertionError as error:
        tell(str(error))
        for one in (*ledger.heard, *ledger.heard_of_documents):
            one.last = max(one.last, (newest if one in ledger.heard else of_documents, 0))


async def _images(lab: Lab, facts: list[Recorded]) -> dict[str, bytes]:
    """What each flash job was to write."""
    blobs = Blobs(lab.bus)
    return {
        one.event.job_id: await blobs.get(one.event.image.digest)
        for one in facts
        if isinstance(one.event, FlashRequested)
    }


__all__ = ["Wanted", "run"]
