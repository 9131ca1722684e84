"""Two instances of one name: who came first keeps it, the other one ends, and what a killed one left keeps nobody out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from nats.js.errors import KeyNotFoundError

from benchwire.events import nats_server, sole
from benchwire.events.bus import Bus, connected
from benchwire.events.presence import Presence, Present
from benchwire.events.settings import NatsSettings
from benchwire.events.sole import NameTaken, Sole
from benchwire.events.testing.eventually import eventually

PRESENT = Present(service="flash-agent", name="raspberrypi", version="1", pid=1)
KEY = "flash-agent.raspberrypi"


@pytest.fixture
async def elsewhere(nats: nats_server.Server) -> AsyncIterator[Bus]:
    """The connection of another machine."""
    async with connected(NatsSettings(nats_url=nats.url), name="elsewhere") as bus:
        yield bus


def one(bus: Bus, directory: Path) -> Sole:
    return Sole(Presence(bus), PRESENT, setting="BENCHWIRE_HOST", file=directory / "last-run")


async def written(bus: Bus) -> Present:
    entry = await (await bus.js.key_value("presence")).get(KEY)
    return msgspec.json.decode(entry.value or b"", type=Present)


async def test_the_second_of_one_name_is_told_which_setting_to_change(bus: Bus, elsewhere: Bus, tmp_path: Path) -> None:
    async with one(bus, tmp_path / "a").announced():
        there, second = (await written(bus)).run, one(elsewhere, tmp_path / "b")
        with pytest.raises(NameTaken, match=r"another flash-agent called raspberrypi .* with BENCHWIRE_HOST"):
            await second.check()
        assert second.is_lost
        with pytest.raises(NameTaken):
            async with one(elsewhere, tmp_path / "c").announced():
                pass
        assert (await written(bus)).run == there


async def test_of_two_that_start_together_one_goes_on(bus: Bus, elsewhere: Bus, tmp_path: Path) -> None:
    async def announced(bus: Bus, name: str) -> None:
        async with one(bus, tmp_path / name).announced():
            await tried.wait()

    tried = asyncio.Event()
    both = [asyncio.create_task(announced(where, name)) for where, name in ((bus, "a"), (elsewhere, "b"))]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    tried.set()
    came_of_it = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(what).__name__ for what in came_of_it) == ["NameTaken", "NoneType"]


async def test_what_ones_own_predecessor_left_is_not_even_watched(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one(bus, tmp_path).announced():
        left = await written(bus)
    await (await bus.js.key_value("presence")).put(KEY, msgspec.json.encode(left))
    monkeypatch.setattr(sole, "_LISTEN_S", 1e9)
    async with one(bus, tmp_path).announced():
        assert (await written(bus)).run != left.run


async def test_what_a_killed_one_of_another_machine_left_keeps_nobody_out(bus: Bus, tmp_path: Path) -> None:
    """Also of a version that did not say which run it is, or of one that cannot be read."""
    bucket = await bus.js.key_value("presence")
    for left in (msgspec.json.encode(PRESENT), b"?"):
        await bucket.put(KEY, left)
        async with one(bus, tmp_path).announced():
            assert (await written(bus)).run


async def test_one_that_was_away_for_a_while_is_back_and_who_came_meanwhile_ends(
    bus: Bus, elsewhere: Bus, tmp_path: Path
) -> None:
    first, second = one(bus, tmp_path / "a"), one(elsewhere, tmp_path / "b")
    bucket = await bus.js.key_value("presence")
    async with first.announced():
        run = (await written(bus)).run
        beat, first.put = first.put, _silent  # type: ignore[method-assign,assignment]
        await bucket.delete(KEY)  # as if its time had run out
        async with second.announced():
            first.put = beat  # type: ignore[method-assign]
            with pytest.raises(NameTaken):
                async with asyncio.timeout(20):
                    await second.lost()
        assert not first.is_lost
        assert (await written(bus)).run == run, "and the other one took nothing back"


async def _silent(*_: object) -> None:
    pass


async def test_one_whose_entry_expired_announces_itself_again(bus: Bus, tmp_path: Path) -> None:
    async with one(bus, tmp_path).announced():
        before = await written(bus)
        await (await bus.js.key_value("presence")).delete(KEY)

        async def again() -> bool:
            with contextlib.suppress(KeyNotFoundError):
                return (await written(bus)).run == before.run
            return False

        await eventually(again, within_s=20)
