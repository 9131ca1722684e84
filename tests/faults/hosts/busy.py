"""Everything that a lab is asked for at once, from the host with its doors, and what is true of it when it has come to rest."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
from tests.faults.harness import invariants, resting
from tests.faults.harness.invariants import Finding, Heard
from tests.faults.harness.lab import place_of
from tests.faults.harness.load import documents, flashing, ingest, runs, sockets
from tests.faults.harness.load.ledger import Ledger
from tests.faults.hosts.lab import BENCHES, DOCUMENTS_URL, OBSERVABILITY_URL, Lab

from benchwire.boards import profile as profiles

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
        await resting.all_over(lab.bus, within_s=_DRAINED_S)
        await resting.everybody_heard(lab.bus, ledger, http)
        enough.set()


async def looked_at(lab: Lab, ledger: Ledger, scratch: Path, *, freed_within_s: float | None = None) -> list[Finding]:
    """Every invariant, of a lab that has come to rest. Bytes that nobody needs are waited for if it is said for how long."""
    async with client(OBSERVABILITY_URL) as http, client(DOCUMENTS_URL) as store:
        found = await resting.looked_at(
            lab.bus, ledger, http, store, flashes=_flashes(lab), rows=lab.rows(), scratch=scratch
        )
        if freed_within_s is not None:
            facts = await invariants.story(lab.bus)
            found.append(await invariants.bytes_needed_and_no_more(lab.bus, facts, within_s=freed_within_s))
    return found


def _flashes(lab: Lab) -> dict[str, tuple[Path, int]]:
    return {
        board: (lab.flash_file(host, board), place_of(profiles.load(profile))[1])
        for host, boards in BENCHES.items()
        for board, profile in boards.items()
    }
