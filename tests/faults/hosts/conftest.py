"""Fixtures only; nothing imports from here."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.hosts.cluster import LEAF, Cluster, cluster
from tests.faults.hosts.lab import BEHIND_THE_LEAF, DOORS, PARTS, Lab, lab_over, laid_out
from tests.faults.hosts.network import Network, network, unavailable

from benchwire.events.bus import Bus, connected


@pytest.fixture
async def hosts() -> AsyncIterator[Network]:
    """A network of hosts; the test itself is on the one with the doors."""
    if why := unavailable():
        pytest.skip(why)
    async with network([*PARTS, LEAF], at=DOORS) as made:
        yield made


@pytest.fixture
async def nodes(hosts: Network, lab_dir: Path) -> AsyncIterator[Cluster]:
    """Three NATS servers, and the leaf node of a room."""
    async with cluster(hosts, lab_dir, leaves=[LEAF]) as made:
        yield made


@pytest.fixture
async def bus(nodes: Cluster) -> AsyncIterator[Bus]:
    """A connection to the cluster, from outside of all its hosts; every stream is there three times."""
    async with connected(nodes.settings(), name="outside") as bus:
        await nodes.settled(bus)
        yield bus


@pytest.fixture
async def lab(hosts: Network, lab_dir: Path) -> AsyncIterator[Lab]:
    """A lab over all hosts, everything in it well: boards in two places, one of them behind the leaf node."""
    out = await laid_out(hosts, lab_dir)
    async with (
        cluster(hosts, lab_dir, leaves=[BEHIND_THE_LEAF], laid_out=out) as nodes,
        connected(nodes.settings(), name="admin") as bus,
        lab_over(nodes, bus, lab_dir) as lab,
    ):
        yield lab
