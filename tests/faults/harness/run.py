"""One run: a lab under load, the faults of a plan one after the other, and what is true of it at the end."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import msgspec

from . import injections, invariants, resting
from .invariants import Finding, Heard
from .lab import BOARDS, Lab, lab_in, means
from .load import documents, flashing, ingest, runs, sockets
from .load.ledger import Ledger
from .plan import TARGETS, Fault, Kind, planned, stop_s
from .report import Injected, Report

_DRAINED_S = 240.0
_REPORTERS = 3
_KEEPERS = 2
_LISTENERS = 3


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done. ``hold_s`` is how long a fault lasts (see ``plan.planned``); ``pace`` stretches the pauses of the load.

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
    grace_s = 3 * stop_s(wanted.hold_s) + 4  # no upload may be paused for so long by a fault, or it is taken for dead
    async with lab_in(directory, able, grace_s=grace_s) as lab:
        tell("the lab is up")
        begun = time.monotonic()
        async with _under_load(ledger, lab, wanted) as asking:
            injected, trouble = await _broken(plan, lab, ledger, tell)
            if trouble.holds:
                await _drained(asking, ledger, lab, tell)
            load_s = time.monotonic() - begun
            # Of a lab in which something stays broken nothing else can be asked.
            findings = [trouble, *(await _looked_at(lab, ledger, directory, tell) if trouble.holds else ())]
    findings.append(await invariants.nothing_runs_below(directory))
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
        what, ended = "", time.monotonic()
        try:
            what = await injections.done(lab, fault)
            ended = time.monotonic()
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


@contextlib.asynccontextmanager
async def _under_load(ledger: Ledger, lab: Lab, wanted: Wanted) -> AsyncGenerator[list[asyncio.Task[None]], None]:
    """All clients, for the time of the context; yields those that ask for something. One that cannot go on ends the run."""
    async with lab.client("observability") as http, lab.client("documents") as store, asyncio.TaskGroup() as tasks:
        pace = wanted.pace
        clients = [
            *(ingest.report(ledger, http, f"hooks-{one}", pause_s=0.15 * pace) for one in range(_REPORTERS)),
            *(flashing.flash(ledger, http, board, pause_s=1.0 * pace) for board in BOARDS),
            *(documents.keep(ledger, store, f"keeper-{one}", pause_s=0.3 * pace) for one in range(_KEEPERS)),
            runs.sessions(ledger, http, "talker-1", pause_s=2.0 * pace),
            runs.sessions(ledger, http, "talker-2", pause_s=2.0 * pace),
            runs.tasks(ledger, http, "maker", pause_s=4.0 * pace),
        ]
        asking = [tasks.create_task(one) for one in clients]
        ledger.heard = [Heard(name=f"listener-{one}") for one in range(_LISTENERS)]
        ledger.heard_of_documents = [Heard(name="listener of documents")]
        doors = ((lab.site.observability_url, ledger.heard), (lab.site.documents_url, ledger.heard_of_documents))
        enough = asyncio.Event()
        listening = [
            tasks.create_task(
                sockets.listen(ledger, heard, f"{url.replace('http', 'ws', 1)}/ws", stays_s=4.0, done=enough)
            )
            for url, listeners in doors
            for heard in listeners
        ]
        try:
            yield asking
        finally:
            for task in (*asking, *listening):
                task.cancel()


async def _drained(asking: list[asyncio.Task[None]], ledger: Ledger, lab: Lab, tell: Tell) -> None:
    """What was begun is brought to its end, and nothing new is begun."""
    ledger.closing.set()
    await asyncio.gather(*asking)
    tell("nothing new is asked for")
    await lab.well()
    try:
        await resting.all_over(lab.bus, within_s=_DRAINED_S)
    except AssertionError as error:
        tell(str(error))  # and the invariants say it again
    tell("all has ended")


async def _looked_at(lab: Lab, ledger: Ledger, directory: Path, tell: Tell) -> list[Finding]:
    """Every invariant, of a lab that has come to rest."""
    async with lab.client("observability") as http, lab.client("documents") as store:
        try:
            await resting.everybody_heard(lab.bus, ledger, http)
        except AssertionError as error:
            tell(str(error))
        found = await resting.looked_at(
            lab.bus, ledger, http, store, flashes=lab.flashes(), rows=lab.rows(), scratch=directory / "fresh"
        )
        return [*found, await invariants.bytes_needed_and_no_more(lab.bus, await invariants.story(lab.bus))]
