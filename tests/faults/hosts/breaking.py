"""What is done to the servers and the network of a lab; each of these leaves everything whole again."""

import asyncio
import random
from collections.abc import Callable, Coroutine

from tests.faults.hosts.cluster import NODES
from tests.faults.hosts.lab import BEHIND_THE_LEAF, BENCHES, RUNNER, Lab

from benchwire.events.bus import STREAM
from benchwire.events.testing.eventually import eventually

_WITHIN_S = 60.0
_BAD_LINES = {"loss": 0.03, "delay": 0.02, "jitter": 0.04, "duplicate": 0.02, "reorder": 0.05}


async def leader_of(lab: Lab, stream: str = STREAM) -> str:
    """Who leads a stream, as soon as somebody does."""
    return str(await eventually(lambda: lab.cluster.leads(lab.bus, stream), within_s=_WITHIN_S, what="a leader"))


async def _dies(lab: Lab, node: str, *, away_s: float) -> None:
    await lab.cluster.kill(node)
    await asyncio.sleep(away_s)
    await lab.cluster.start(node)


async def leader_is_killed(lab: Lab, chance: random.Random) -> None:
    """kill -9 of whoever leads the log, or another stream."""
    stream = chance.choice((STREAM, STREAM, "LIVE", "OBJ_artifacts", "KV_presence"))
    await _dies(lab, await leader_of(lab, stream), away_s=chance.uniform(0.5, 12.0))


async def meta_leader_is_killed(lab: Lab, chance: random.Random) -> None:
    """kill -9 of whoever decides where streams and consumers are."""
    leader = await eventually(lab.cluster.meta_leader, within_s=_WITHIN_S, what="somebody decides")
    await _dies(lab, str(leader), away_s=chance.uniform(0.5, 12.0))


async def node_is_away_for_long(lab: Lab, chance: random.Random) -> None:
    """One server misses a lot, and comes back."""
    await _dies(lab, chance.choice(NODES), away_s=40.0)


async def node_is_cut_off(lab: Lab, chance: random.Random) -> None:
    """One server is not reached by anybody; half of the time it still hears."""
    await lab.network.cut(chance.choice(NODES), back=chance.random() < 0.5)
    await asyncio.sleep(chance.uniform(2.0, 15.0))


async def leader_is_alone(lab: Lab, chance: random.Random) -> None:
    """Clients reach whoever leads the log, and the other servers do not: it must not acknowledge."""
    leader = await leader_of(lab)
    await lab.network.cut(leader, of=[one for one in NODES if one != leader], back=chance.random() < 0.7)
    await asyncio.sleep(chance.uniform(5.0, 15.0))


async def room_is_cut_off(lab: Lab, chance: random.Random) -> None:
    """The leaf node has no way to the cluster, while the boards behind it print and are flashed."""
    await lab.network.cut(BEHIND_THE_LEAF, of=NODES, back=chance.random() < 0.7)
    await asyncio.sleep(chance.uniform(3.0, 20.0))


async def host_is_cut_off(lab: Lab, chance: random.Random) -> None:
    """A host with boards, or the runner, is not reached by anybody."""
    await lab.network.cut(chance.choice((*BENCHES, RUNNER)), back=chance.random() < 0.7)
    await asyncio.sleep(chance.uniform(2.0, 15.0))


async def lines_are_bad(lab: Lab, chance: random.Random) -> None:
    """Frames of all hosts are late, lost, doubled and out of order."""
    everybody = list(lab.network.hosts)
    await lab.network.treat(everybody, everybody, back=False, **_BAD_LINES)
    await asyncio.sleep(chance.uniform(5.0, 15.0))


Breaking = Callable[[Lab, random.Random], Coroutine[None, None, None]]

KINDS: tuple[Breaking, ...] = (
    leader_is_killed, meta_leader_is_killed, node_is_away_for_long, node_is_cut_off, leader_is_alone, room_is_cut_off,
    host_is_cut_off, lines_are_bad,
)  # fmt: skip
