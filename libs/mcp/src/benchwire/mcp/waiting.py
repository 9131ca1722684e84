"""Waiting for something in the lab, never longer than was asked for; whoever waits is told how it stands."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import anyio
from pydantic import Field

from benchwire.client.patience import AWAY_S
from benchwire.mcp.reach import Away, Ctx

LONGEST_S = 600.0
_LOOK_EVERY_S = 1.0

Wait = Annotated[float, Field(ge=0, le=LONGEST_S, description="how many seconds to wait at most; 0 looks once")]

T = TypeVar("T")


async def waited(
    ctx: Ctx, look: Callable[[], Awaitable[T]], *, is_over: Callable[[T], bool], told: Callable[[T], str], wait_s: float
) -> T:
    """What ``look`` gives once that ``is_over``, or when the time is up; ``told`` says how it stands, at the end too.

    Once it has answered, a lab may be away for as long as a restart takes. Raises as ``look`` does.
    """
    begun = heard = anyio.current_time()
    found = await look()
    while True:
        passed = anyio.current_time() - begun
        await ctx.report_progress(passed, wait_s, told(found))
        if is_over(found) or passed >= wait_s:
            return found
        await anyio.sleep(min(_LOOK_EVERY_S, wait_s - passed))
        try:
            found = await look()
            heard = anyio.current_time()
        except Away:
            now = anyio.current_time()
            if now - heard >= AWAY_S or now - begun >= wait_s:
                raise
