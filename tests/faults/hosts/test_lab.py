"""A lab over many hosts, whose network and servers break under load: nothing acknowledged is lost, nothing is doubled, and everything ends.

BENCHWIRE_SEED=7 plays a run of the long one again, BENCHWIRE_FAULTS=50 says how many faults it has.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

import httpx
import pytest
from tests.faults.harness import invariants
from tests.faults.harness.invariants import ENDS_OF_JOB
from tests.faults.harness.lab import place_of
from tests.faults.hosts import breaking
from tests.faults.hosts.busy import client, looked_at, under_load
from tests.faults.hosts.cluster import NODES
from tests.faults.hosts.lab import BEHIND_THE_LEAF, BENCHES, OBSERVABILITY_URL, PATIENCE_S, Lab

from benchwire.boards import profile as profiles
from benchwire.events.catalog import FLASH_AGENT
from benchwire.events.flash import FlashCompleted, FlashEvent, FlashStarted
from benchwire.events.testing.eventually import eventually


@pytest.mark.timeout(400)
async def test_nothing_is_lost_when_a_leader_is_killed_and_a_room_is_cut_off(lab: Lab, lab_dir: Path) -> None:
    async with under_load(lab, seed=int(os.environ.get("BENCHWIRE_SEED", "1"))) as ledger:
        await more(ledger.acked)
        leader = await breaking.leader_of(lab)
        await lab.cluster.kill(leader)
        await more(ledger.acked)
        await lab.network.cut(BEHIND_THE_LEAF, of=NODES)

        async def looks_away() -> bool:
            there = await lab.who_is_there()
            return bool(there) and (FLASH_AGENT, BEHIND_THE_LEAF) not in there

        await eventually(looks_away, within_s=PATIENCE_S, what="the boards behind the leaf node look away")
        await more(ledger.acked)
        await lab.network.mend()
        await lab.cluster.start(leader)
        await lab.well()
        await more(ledger.acked)
    invariants.check(await looked_at(lab, ledger, lab_dir / "fresh"))
    await nobody_was_refused_what_it_needs(lab)
    assert lab.complaints() == []


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_a_board_whose_room_is_cut_off_is_flashed_to_the_end_and_that_is_told_afterwards(lab: Lab) -> None:
    ((board, profile),) = BENCHES[BEHIND_THE_LEAF].items()
    image = random.Random(1).randbytes(30_000)
    address, offset = place_of(profiles.load(profile))
    asked = {"device_id": board, "address": str(address), "max_bytes_per_s": "6000"}
    async with client(OBSERVABILITY_URL) as http:
        answer = await http.post("/api/flash/start", files={"file": ("image.bin", image)}, data=asked)
        assert answer.status_code == httpx.codes.OK, answer.text
    job = answer.json()["jobId"]

    async def told(*kinds: type[FlashEvent]) -> list[FlashEvent]:
        facts = await invariants.story(lab.bus)
        return [one.event for one in facts if isinstance(one.event, kinds) and one.event.job_id == job]

    await eventually(lambda: told(FlashStarted), within_s=PATIENCE_S, what="the job starts")
    await lab.network.cut(BEHIND_THE_LEAF, of=NODES)
    flash_file = lab.flash_file(BEHIND_THE_LEAF, board)

    def is_written() -> bool:
        return flash_file.exists() and flash_file.read_bytes()[offset : offset + len(image)] == image

    await eventually(is_written, within_s=PATIENCE_S, what="the board has the image")
    await asyncio.sleep(5)  # longer than its request waits to be heard of, so that the queue gives it once more
    assert not await told(*ENDS_OF_JOB)
    await lab.network.mend()
    await eventually(lambda: told(FlashCompleted), within_s=PATIENCE_S, what="the end of the job is told")
    await lab.well()
    await asyncio.sleep(5)
    assert len(await told(FlashStarted)) == len(await told(*ENDS_OF_JOB)) == 1


async def nobody_was_refused_what_it_needs(lab: Lab) -> None:
    assert {one.service: one.denied for one in await lab.presence.everyone() if one.denied} == {}


async def more(acked: list[tuple[str, str]], count: int = 40) -> None:
    """Returns when so many more calls were acknowledged."""
    enough = len(acked) + count
    await eventually(lambda: len(acked) >= enough, within_s=PATIENCE_S, what="calls are acknowledged")


@pytest.mark.long
@pytest.mark.timeout(2 * 3600)
async def test_so_it_is_whatever_breaks_one_after_the_other(lab: Lab, lab_dir: Path) -> None:
    seed = int(os.environ.get("BENCHWIRE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    sys.stdout.write(f"BENCHWIRE_SEED={seed}\n")
    chance = random.Random(seed)
    kinds: list[breaking.Breaking] = []
    async with under_load(lab, seed=seed) as ledger:
        for number in range(int(os.environ.get("BENCHWIRE_FAULTS", "24"))):
            if not kinds:
                kinds = chance.sample(breaking.KINDS, len(breaking.KINDS))
            breaks = kinds.pop()
            before = len(ledger.acked)
            await breaks(lab, chance)
            meanwhile = len(ledger.acked) - before
            await lab.network.mend()
            begun = time.monotonic()
            await lab.cluster.settled(lab.bus)  # or the next fault could leave no majority
            await lab.well()
            sys.stdout.write(
                f"{number + 1:3} {breaks.__name__}: {meanwhile} acknowledged meanwhile, "
                f"all well {time.monotonic() - begun:.1f} s after it was over\n"
            )
            sys.stdout.flush()
            await more(ledger.acked)
    found = await looked_at(lab, ledger, lab_dir / "fresh", freed_within_s=180.0)
    sys.stdout.write("".join(f"{one.invariant}: {one.figures}\n" for one in found))
    sys.stdout.write(f"answers {dict(ledger.answers)}, {ledger.repeated} repeated, {ledger.unresolved} given up\n")
    invariants.check(found)
    await nobody_was_refused_what_it_needs(lab)
    assert lab.complaints() == []
