"""Waiting for something in the lab, never longer than was asked for; whoever waits is told how it stands."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import anyio
from pydantic import Field

from benchwire.mcp.reach import Ctx

LONGEST_S = 600.0
_LOOK_EVERY_S = 1.0

Wait = Annotated[float, Field(ge=0, le=LONGEST_S, description="how many seconds to wait at most; 0 looks once")]

T = TypeVar("T")


async def waited(
    ctx: Ctx, look: Callable[[], Awaitable[T]], *, is_over: Callable[[T], bool], told: Callable[[T], str], wait_s: float
) -> T:
    """What ``look`` gives once that ``is_over``, or when the time is up; ``told`` says how it stands meanwhile."""
    begun = anyio.current_time()
    while True:
        found = await look()
        passed = anyio.current_time() - begun
        if is_over(found) or passed >= wait_s:
            return found
        await ctx.report_progress(passed, wait_s, told(found))
        await anyio.sleep(min(_LOOK_EVERY_S, wait_s - passed))
