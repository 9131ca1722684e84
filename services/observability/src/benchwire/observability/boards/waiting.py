"""Waiting for news, as long as somebody is there to be told."""

import asyncio


async def either(one: asyncio.Event, other: asyncio.Event, *, within_s: float) -> None:
    """Returns when one of them is set, or the time is up."""
    waiting = [asyncio.create_task(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waiting, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
