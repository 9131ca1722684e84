"""Everything that a lab is asked for at once, from the host with its doors, and what is true of it when it has come to rest."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
from tests.faults.harness import invariants
from tests.faults.harness.invariants import Finding, Heard
from tests.faults.harness.lab import place_of
from tests.faults.harness.load import documents, flashing, ingest, runs, sockets
from tests.faults.harness.load.ledger import Ledger
from tests.faults.hosts.lab import BENCHES, DOCUMENTS_URL, OBSERVABILITY_URL, Lab

from benchwire.boards import profile as profiles
from benchwire.events.blobs import Blobs
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.testing.eventually import eventually

_ANSWER_S = 15.0
_DRAINED_S = 120.0
_LISTENERS = 2


def client(url: str) -> httpx.AsyncClient:
    """A client of one of the two doors."""
    return httpx.AsyncClient(base_url=url, timeout=_ANSWER_S, trust_env=False)


@contextlib.asynccontextmanager
async def under_load(lab: Lab, *, seed: int, pace: float = 1.0) -> AsyncGenerator[Ledger, None]:
    """Clients of all kinds. Leaving the context waits until what they began has ended, and everybody who listens has heard of it."""
    ledger, enough = Ledger(seed), asyncio.Event()
    ledger.heard = [Heard(name=f"listener-{one}") for one in range(_LISTENERS)]
    ledger.heard_of_documents = [Heard(name="listener of documents")]
    async with client(OBSERVABILITY_URL) as http, client(DOCUMENTS_URL) as store, asyncio.TaskGroup() as tasks:
        asking = [
            *(tasks.create_task(ingest.report(ledger, http, f"hooks-{one}", pause_s=0.1 * pace)) for one in range(2)),
            *(
                tasks.create_task(flashing.flash(ledger, http, board, pause_s=0.5 * pace))
                for boards in BENCHES.values()
                for board in boards
            ),
            tasks.create_task(documents.keep(ledger, store, "keeper", pause_s=0.3 * pace)),
            tasks.create_task(runs.sessions(ledger, http, "talker", pause_s=pace)),
        ]
        for url, listeners in ((OBSERVABILITY_URL, ledger.heard), (DOCUMENTS_URL, ledger.heard_of_documents)):
            for heard in listeners:
                place = f"{url.replace('http', 'ws', 1)}/ws"
                tasks.create_task(sockets.listen(ledger, heard, place, stays_s=4.0, done=enough))
        yield ledger
        ledger.closing.set()
        async with asyncio.timeout(_DRAINED_S):
            await asyncio.gather(*asking)
        try:
            await eventually(lambda: _all_over(lab), within_s=_DRAINED_S, what="all that was asked for has ended")
        except AssertionError:
            invariants.check([await invariants.ended_once_or_owned(lab.bus, await invariants.story(lab.bus))])
            raise
        await _everybody_heard(lab, ledger, http)
        enough.set()


async def looked_at(lab: Lab, ledger: Ledger, scratch: Path, *, freed_within_s: float | None = None) -> list[Finding]:
    """Every invariant, of a lab that has come to rest. Bytes that nobody needs are waited for if it is said for how long."""
    async with client(OBSERVABILITY_URL) as http, client(DOCUMENTS_URL) as store:
        facts = await invariants.story(lab.bus)
        devices = {one["device_id"]: one for one in (await http.get("/api/devices")).json()["devices"]}
        due = invariants.due_on_observability(facts, await invariants.events_shown(http))
        found = [
            Finding(invariant="no call is answered in a way that it never should be", figures={}, wrong=ledger.strange),
            invariants.acknowledged_once(facts, ledger.acked),
            await invariants.ended_once_or_owned(lab.bus, facts),
            await invariants.shown_as_ended(http, facts),
            invariants.missed_nothing("observability", due, ledger.heard),
            invariants.missed_nothing("documents", invariants.due_on_documents(facts), ledger.heard_of_documents),
            await invariants.documents_whole(store, ledger.kept),
            invariants.boards_as_their_jobs_say(facts, await _images(lab, facts), devices, _flashes(lab)),
            await invariants.rows_equal_a_rebuild(lab.bus, lab.rows(), scratch),
        ]
        if freed_within_s is not None:
            found.append(await invariants.bytes_needed_and_no_more(lab.bus, facts, within_s=freed_within_s))
    return found


async def _all_over(lab: Lab) -> bool:
    facts = await invariants.story(lab.bus)
    over = (await invariants.ended_once_or_owned(lab.bus, facts)).holds
    return over or not await asyncio.sleep(0.5, result=True)


async def _everybody_heard(lab: Lab, ledger: Ledger, http: httpx.AsyncClient) -> None:
    facts = await invariants.story(lab.bus)
    newest = max(invariants.due_on_observability(facts, await invariants.events_shown(http)))
    of_documents = max(invariants.due_on_documents(facts), default=0)

    def heard() -> bool:
        return all(one.last[0] >= newest for one in ledger.heard) and all(
            one.last[0] >= of_documents for one in ledger.heard_of_documents
        )

    await eventually(heard, within_s=60, what=f"everybody has heard {newest}, and {of_documents} of documents")


async def _images(lab: Lab, facts: list[Recorded]) -> dict[str, bytes]:
    blobs = Blobs(lab.bus)
    return {
        one.event.job_id: await blobs.get(one.event.image.digest)
        for one in facts
        if isinstance(one.event, FlashRequested)
    }


def _flashes(lab: Lab) -> dict[str, tuple[Path, int]]:
    return {
        board: (lab.flash_file(host, board), place_of(profiles.load(profile))[1])
        for host, boards in BENCHES.items()
        for board, profile in boards.items()
    }
