"""Places for compilers and simulators, taken in turns."""

import asyncio
from collections.abc import Callable

import pytest

from benchwire.agent.cores import Cores


class Users:
    """Those who have a place, or wait for one; ``got`` is the order in which they came to have theirs."""

    def __init__(self, cores: Cores) -> None:
        self.cores = cores
        self.got: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}

    async def use(self, name: str, owner: str, count: int = 1) -> None:
        self.leave[name] = asyncio.Event()
        async with self.cores.taken(owner, count):
            self.got.append(name)
            await self.leave[name].wait()

    async def settle(self) -> list[str]:
        for _ in range(5):
            await asyncio.sleep(0)
        return self.got


async def test_owners_take_turns_however_many_places_one_of_them_wants() -> None:
    users = Users(Cores(1))
    async with asyncio.TaskGroup() as tasks:
        for name in ("a1", "a2", "a3", "b1", "c1"):
            tasks.create_task(users.use(name, owner=name[0]))
        for _ in range(5):
            users.leave[(await users.settle())[-1]].set()
    assert users.got == ["a1", "a2", "b1", "c1", "a3"]


async def test_who_wants_several_gets_them_at_once_and_is_not_passed_by_those_who_want_one() -> None:
    users = Users(Cores(2))
    async with asyncio.TaskGroup() as tasks:
        for name, count in (("one", 1), ("both", 2), ("late", 1)):
            tasks.create_task(users.use(name, owner=name, count=count))
        assert await users.settle() == ["one"]
        users.leave["one"].set()
        assert await users.settle() == ["one", "both"]
        users.leave["both"].set()
        assert await users.settle() == ["one", "both", "late"]
        users.leave["late"].set()


async def test_who_wants_more_than_there_are_gets_all() -> None:
    async with Cores(2).taken("a", 5):
        pass


def _waiting(tasks: list[asyncio.Task[None]], users: Users) -> None:
    tasks[1].cancel()


def _granted_in_this_moment(tasks: list[asyncio.Task[None]], users: Users) -> None:
    users.leave["first"].set()
    tasks[1].cancel()


@pytest.mark.parametrize("cancel", [_waiting, _granted_in_this_moment])
async def test_who_gives_up_waiting_holds_up_nobody(cancel: Callable[[list[asyncio.Task[None]], Users], None]) -> None:
    users = Users(Cores(1))
    tasks = [asyncio.create_task(users.use(name, owner=name)) for name in ("first", "second", "third")]
    await users.settle()
    cancel(tasks, users)
    users.leave["first"].set()
    assert await users.settle() == ["first", "third"]
    users.leave["third"].set()
    await asyncio.gather(tasks[0], tasks[2])
    assert tasks[1].cancelled()
