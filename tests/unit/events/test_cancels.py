"""Work beside other work."""

import asyncio

import pytest

from benchwire.events import cancels


async def test_what_goes_on_beside_is_over_with_the_context() -> None:
    steps = []

    async def work() -> None:
        try:
            steps.append("begun")
            await asyncio.Event().wait()
        finally:
            steps.append("over")

    async with cancels.beside(work(), name="work"):
        await asyncio.sleep(0)
        assert steps == ["begun"]
    assert steps == ["begun", "over"]


async def test_a_fault_beside_ends_nothing_else_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("a fault of its own")

    async with cancels.beside(work(), name="work"):
        await asyncio.sleep(0)
    assert "work ended with a fault" in caplog.text
    assert "a fault of its own" in caplog.text


async def test_what_the_context_raises_is_what_is_raised() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ValueError, match="outside"):
        async with cancels.beside(work(), name="work"):
            raise ValueError("outside")
