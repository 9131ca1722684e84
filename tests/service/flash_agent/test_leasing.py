"""Hosts that lease their boards, with a real NATS server and real rows; the boards are facts that the test writes."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest

from benchwire.events import catalog, clock
from benchwire.events.bus import Bus
from benchwire.events.clock import Clock
from benchwire.events.device import DeviceAttached, DeviceDetached, DeviceLeased, DeviceReleased
from benchwire.events.event import Artifact, Event
from benchwire.events.flash import FlashCancelled, FlashRequested
from benchwire.events.lease import LeaseOffered, LeaseRequested, LeaseWithdrawn
from benchwire.events.log import Log
from benchwire.events.projection import Projection, rows_of
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import sample, samples
from benchwire.flash_agent import queries
from benchwire.flash_agent.errors import LeasedToAnother
from benchwire.flash_agent.granting import Granting
from benchwire.flash_agent.projection import schema

IMAGE = Artifact(digest="0" * 64, size_bytes=9, name="a.bin")


def now() -> datetime:
    return datetime.now(UTC)


class Lab:
    """A log, the hosts that run, and what people ask."""

    def __init__(self, bus: Bus, log: Log, directory: Path) -> None:
        self.bus = bus
        self.log = log
        self._directory = directory
        self._runs = count()

    @contextlib.asynccontextmanager
    async def host(self, name: str = "h1") -> AsyncGenerator[Granting, None]:
        """The leasing of a host; each run builds its rows anew."""
        path = self._directory / f"{name}-{next(self._runs)}.sqlite"
        projection = Projection(self.bus, path, schema(name))
        async with projection.running():
            granting = Granting(self.log, projection, name, Clock(self.bus))
            projection.on_commit(granting.heard)
            running = asyncio.create_task(granting.run())
            try:
                yield granting
            finally:
                running.cancel()
                await asyncio.wait([running])

    async def attach(self, device: str, host: str = "h1", profile: str = "esp32c3", **labels: str) -> None:
        await self.log.append(DeviceAttached(timestamp=now(), host=host, device=device, profile=profile, labels=labels))

    async def ask(self, lease_id: str, *, for_s: float = 60.0, wait_s: float = 60.0, **wanted: Any) -> None:
        until = now() + timedelta(seconds=wait_s)
        await self.log.append(
            LeaseRequested(timestamp=now(), lease_id=lease_id, for_s=for_s, wait_until=until, **{"holder": f"of {lease_id}", **wanted})
        )  # fmt: skip

    async def give_back(self, lease: DeviceLeased) -> None:
        await self.log.append(
            DeviceReleased(timestamp=now(), host=lease.host, device=lease.device, lease_id=lease.lease_id)
        )

    async def facts(self, *kinds: type[Event]) -> list[Any]:
        filters = ["bench.lease.>", "bench.device.>"]
        return [one.event async for one in self.log.read(filters) if isinstance(one.event, kinds)]

    async def leased(self, lease_id: str, times: int = 1) -> DeviceLeased:
        async def there() -> list[Any]:
            found = [one for one in await self.facts(DeviceLeased) if one.lease_id == lease_id]
            return found if len(found) >= times else []

        found: list[DeviceLeased] = await eventually(there, within_s=20, what=f"the lease {lease_id}")
        return found[-1]

    async def ended(self, lease_id: str) -> DeviceReleased | LeaseWithdrawn:
        async def there() -> list[Any]:
            return [one for one in await self.facts(DeviceReleased, LeaseWithdrawn) if one.lease_id == lease_id]

        found: list[DeviceReleased | LeaseWithdrawn] = await eventually(
            there, within_s=20, what=f"the end of {lease_id}"
        )
        return found[0]


@pytest.fixture
def lab(bus: Bus, log: Log, tmp_path: Path) -> Lab:
    return Lab(bus, log, tmp_path)


async def test_two_who_want_one_board_get_it_one_after_the_other_in_the_order_they_asked(lab: Lab) -> None:
    await lab.attach("d")
    async with lab.host():
        for lease_id in ("l1", "l2"):
            await lab.ask(lease_id, device="d")
        first = await lab.leased("l1")
        assert (first.holder, first.device) == ("of l1", "d")
        await lab.give_back(first)
        await lab.leased("l2")
    kinds = [(type(one).__name__, one.lease_id) for one in await lab.facts(LeaseOffered, DeviceLeased, DeviceReleased)]
    assert kinds == [
        ("LeaseOffered", "l1"), ("DeviceLeased", "l1"), ("DeviceReleased", "l1"), ("LeaseOffered", "l2"), ("DeviceLeased", "l2"),
    ]  # fmt: skip


async def test_of_two_hosts_with_boards_that_fit_one_serves_each_request(lab: Lab) -> None:
    for host in ("h1", "h2"):
        for device in ("a", "b"):
            await lab.attach(device, host)
    async with lab.host("h1"), lab.host("h2"):
        async with asyncio.TaskGroup() as tasks:
            for number in range(6):
                tasks.create_task(lab.ask(f"l{number}", profile="esp32c3"))
        await eventually(lambda: _several(lab, DeviceLeased, 4), within_s=20, what="four leases")
        for lease in await lab.facts(DeviceLeased):
            await lab.give_back(lease)
        await eventually(lambda: _several(lab, DeviceLeased, 6), within_s=20, what="six leases")
    asked = [one.lease_id for one in await lab.facts(LeaseRequested)]
    leased = await lab.facts(DeviceLeased)
    assert sorted(one.lease_id for one in leased) == sorted(asked)
    assert {one.lease_id for one in leased[:4]} == set(asked[:4])
    assert len({(one.host, one.device) for one in leased[:4]}) == 4
    assert await lab.facts(LeaseWithdrawn) == []


async def _several(lab: Lab, kind: type[Event], number: int) -> bool:
    return len(await lab.facts(kind)) >= number


async def test_any_board_that_has_the_labels_will_do_wherever_it_is(lab: Lab) -> None:
    await lab.attach("plain", "h1", rack="2")
    await lab.attach("other", "h2", "esp32", rack="2", camera="yes")
    await lab.attach("seen", "h2", rack="2", camera="yes")
    async with lab.host("h1"), lab.host("h2"):
        await lab.ask("l1", profile="esp32c3", labels={"camera": "yes", "rack": "2"})
        lease = await lab.leased("l1")
        assert (lease.host, lease.device) == ("h2", "seen")


async def test_a_lease_runs_out_unless_it_is_renewed_and_then_the_next_one_has_the_board(lab: Lab) -> None:
    await lab.attach("d")
    async with lab.host():
        await lab.ask("l1", for_s=3.0)
        await lab.ask("l2")
        first = await lab.leased("l1")
        later = first.expires_at + timedelta(seconds=0.5)
        await lab.log.append(
            DeviceLeased(timestamp=now(), host="h1", device="d", lease_id="l1", holder=first.holder, expires_at=later)
        )
        ended = await lab.ended("l1")
        assert isinstance(ended, DeviceReleased)
        assert ended.reason == "expired"
        assert ended.timestamp >= later
        await lab.leased("l2")


async def test_a_host_whose_clock_is_wrong_ends_no_lease_before_its_time(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=1)

    monkeypatch.setattr(clock, "datetime", Ahead)
    await lab.attach("d")
    async with lab.host():
        await lab.ask("l1", for_s=600.0)
        first = await lab.leased("l1")
        assert now() < first.expires_at < now() + timedelta(seconds=660)
        await lab.ask("short", wait_s=0.5)
        assert isinstance(await lab.ended("short"), LeaseWithdrawn)  # it has looked again since
        assert await lab.facts(DeviceReleased) == []


async def test_who_waits_in_vain_leaves_the_queue_and_who_left_it_is_passed_over(lab: Lab) -> None:
    await lab.attach("d")
    async with lab.host():
        await lab.ask("l1")
        first = await lab.leased("l1")
        await lab.ask("short", wait_s=0.5)
        await lab.ask("gone")
        await lab.ask("l2")
        assert isinstance(await lab.ended("short"), LeaseWithdrawn)
        await lab.log.append(LeaseWithdrawn(timestamp=now(), lease_id="gone", reason="no longer"))
        await lab.give_back(first)
        await lab.leased("l2")
    assert {one.lease_id for one in await lab.facts(DeviceLeased)} == {"l1", "l2"}


async def test_an_agent_that_was_killed_between_offer_and_lease_completes_it_when_it_is_back(lab: Lab) -> None:
    await lab.attach("d")
    await lab.attach("e")
    for lease_id, device in (("l1", "d"), ("l2", "e")):
        await lab.ask(lease_id)
        await lab.log.append(LeaseOffered(timestamp=now(), lease_id=lease_id, host="h1", device=device))
    await lab.log.append(DeviceDetached(timestamp=now(), host="h1", device="e"))
    async with lab.host("h2"), lab.host("h1"):  # another host leaves it alone
        assert (await lab.leased("l1")).device == "d"
        ended = await lab.ended("l2")
    assert isinstance(ended, LeaseWithdrawn)
    assert "unplugged" in ended.reason


async def test_what_ran_out_while_no_agent_was_there_ends_at_its_start(lab: Lab) -> None:
    await lab.attach("d")
    async with lab.host():
        await lab.ask("l1", for_s=2.0)
        lease = await lab.leased("l1")
    await lab.ask("late", wait_s=0.0)
    await eventually(lambda: now() > lease.expires_at, within_s=20, what="the lease to run out")
    assert await lab.facts(DeviceReleased) == []
    async with lab.host() as granting:
        assert isinstance(await lab.ended("l1"), DeviceReleased)
        assert isinstance(await lab.ended("late"), LeaseWithdrawn)
        assert await granting.refusal("d") is None


async def test_a_board_with_an_open_job_is_not_free_until_the_job_is_over(lab: Lab) -> None:
    await lab.attach("d")
    job = FlashRequested(timestamp=now(), host="h1", job_id="j", device="d", image=IMAGE, address=0)
    await lab.log.append(job)
    async with lab.host():
        await lab.ask("l1")
        await lab.ask("soon", wait_s=0.3)
        await lab.ended("soon")  # by then the first would have had the board long ago
        assert await lab.facts(DeviceLeased) == []
        await lab.log.append(
            FlashCancelled(timestamp=now(), host="h1", job_id="j", device="d", flash_state="untouched")
        )
        await lab.leased("l1")


async def test_a_leased_board_is_refused_to_everybody_else(lab: Lab) -> None:
    await lab.attach("d")
    async with lab.host() as granting:
        await lab.ask("l1", holder="ann")
        lease = await lab.leased("l1")
        theirs = FlashRequested(timestamp=now(), host="h1", job_id="j", device="d", image=IMAGE, address=0)

        async def refused() -> bool:
            return await granting.refusal("d") is not None

        await eventually(refused, within_s=20, what="the rows to have the lease")
        with pytest.raises(LeasedToAnother, match=f"leased to ann until {lease.expires_at:%Y-%m-%d %H:%M:%S} UTC"):
            await granting.judged(theirs)
        await granting.judged(sample(FlashRequested, host="h1", device="d", lease_id="l1"))  # type: ignore[arg-type]
        assert await granting.refusal("d", lease_id="l1") is None
        assert await granting.refusal("another") is None


async def test_the_rows_of_a_host_rebuilt_from_the_log_equal_the_live_ones(log: Log, bus: Bus, tmp_path: Path) -> None:
    live, rebuilt = (tmp_path / name for name in ("live.sqlite", "rebuilt.sqlite"))
    first = Projection(bus, live, schema("host-1"))
    async with first.running():
        for event in [*samples(), sample(FlashRequested, job_id="job-2"), sample(DeviceAttached)]:
            if catalog.subject_of(event).startswith("bench."):
                last = await log.append(event)
        await first.wait_for(last)
    again = Projection(bus, rebuilt, schema("host-1"), with_snapshots=False)
    async with again.running():
        assert again.state.malformed == 0
        standing = await again.read(lambda db: queries.standing(db, "host-1"))
    assert rows_of(live) == rows_of(rebuilt)
    assert [(one.device, one.busy, one.held) for one in standing.boards] == [("device-1", True, None)]
