"""What a runner that is gone for good left running: closed when nobody takes it over, so that nothing runs for ever.

A runner that comes back, or another one, takes up what was left: its request is still in the queue. That is why there is a long time of
grace; what somebody asked to end has a short one. What nobody ever took stays in the queue and waits. Where several of this service run,
each looks by itself: to close something is one exclusive decision, so that one of them does it.

What a session or task still holds of boards when it has ended, however it ended, is given back here, too.
"""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager

from benchwire.events.catalog import AGENT
from benchwire.events.log import Contended, LogUnavailable
from benchwire.events.projection import ProjectionBehind
from benchwire.observability import commands, queries
from benchwire.observability.boards import leasing
from benchwire.observability.lab import Lab
from benchwire.observability.looking import looked_after
from benchwire.observability.queries import Held, Row
from benchwire.observability.stopping import ending

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
ASKED_TO_END_S = 5.0


class Orphans:
    """Looks who holds what, and for how long its holder has been gone; ``after_s`` is the time of grace."""

    def __init__(self, lab: Lab, *, after_s: float) -> None:
        self._lab = lab
        self._after_s = after_s
        self._gone_since: dict[tuple[str, str, str], float] = {}

    def watched(self) -> AbstractAsyncContextManager[None]:
        """Looks after them for the time of the context."""
        return looked_after(self._look, every_s=LOOK_EVERY_S, what="what gone runners left")

    async def _look(self) -> None:
        for lease in await self._lab.read(queries.leases_left):
            await self._give_back(lease)
        held = await self._lab.read(queries.held)
        there = await self._lab.present.names(AGENT) if held else set()
        if there is None:  # nobody can tell who is gone while NATS is away, and everybody seems to be right after that
            self._gone_since.clear()
            return
        now = asyncio.get_running_loop().time()
        gone = {(one.kind, one.name, one.runner): one for one in held if one.runner not in there}
        self._gone_since = {key: self._gone_since.get(key, now) for key in gone}
        for key, one in gone.items():
            grace_s = min(ASKED_TO_END_S, self._after_s) if one.is_ending else self._after_s
            if now - self._gone_since[key] >= grace_s and await self._lab.present.is_gone(AGENT, one.runner):
                await self._close(one)

    async def _give_back(self, lease: Row) -> None:
        try:
            await leasing.ended(self._lab, lease["lease_id"], commands.ITS_END)
        except (Contended, LogUnavailable, ProjectionBehind) as error:
            log.warning("lease %s of %s is given back later: %s", lease["lease_id"], lease["holder"], error)
        else:
            log.info("lease %s is given back: %s has ended", lease["lease_id"], lease["holder"])

    async def _close(self, one: Held) -> None:
        close = ending.close_session if one.kind == "session" else ending.close_task
        try:
            if await close(self._lab, one.name, one.runner):
                log.info(
                    "%s %s is closed: its runner %s is gone, and no other took it over", one.kind, one.name, one.runner
                )
        except (Contended, LogUnavailable, ProjectionBehind) as error:
            log.warning("%s %s is closed later: %s", one.kind, one.name, error)
        except Exception:  # it must not keep the others from being closed
            log.exception("%s %s cannot be closed", one.kind, one.name)
