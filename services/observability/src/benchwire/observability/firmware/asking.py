"""What the agent runners are asked: which boards they can make firmware for, and what they would design."""

import asyncio
import time
from typing import Any, TypeVar

import msgspec
from nats.errors import MaxPayloadError

from benchwire.boards import profile
from benchwire.events.asks import (
    BoardAbility,
    BoardsListed,
    DesignSystem,
    ListBoards,
    Refused,
    SystemDesigned,
)
from benchwire.events.bus import Bus
from benchwire.events.log import EventTooLarge
from benchwire.events.task import TaskRequested
from benchwire.observability import errors

DESIGN_WITHIN_S = 120.0
_LIST_WITHIN_S = 1.0  # a task is accepted within two seconds, whoever is busy
_FRESH_S = 10.0
_UNTIL_AGAIN_S = 1.0  # when nobody answered: many who ask at once wait once
NO_RUNNER = (
    "no agent runner answers now, so nobody can tell what can be built and simulated; start one with `benchwire up`"
)
_NOT_THEIR_FAULT = ("unusable", "malformed")  # the words of a runner for what is wrong with the request itself


Answer = TypeVar("Answer")


class Runners:
    """Those who make firmware. What they can do is asked at most every ten seconds, however many want to know."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._listed: BoardsListed | Refused | None = None
        self._listed_at = 0.0
        self._listing = asyncio.Lock()

    async def boards(self) -> BoardsListed | Refused:
        """What one runner can do for each board, or why nobody says so."""
        async with self._listing:
            fresh_s = _FRESH_S if isinstance(self._listed, BoardsListed) else _UNTIL_AGAIN_S
            if self._listed is None or time.monotonic() - self._listed_at > fresh_s:
                self._listed = await self._asked("boards", ListBoards(), BoardsListed, within_s=_LIST_WITHIN_S)
                self._listed_at = time.monotonic()
            return self._listed

    async def mind(self, task: TaskRequested) -> None:
        """Raises ``Unusable`` when the runner that was asked cannot make, or test, firmware for a board of ``task``.

        While none answers, the task is left to wait for one.
        """
        wanted = {board for board in (task.board, *(node.board for node in task.nodes)) if board}
        listed = await self.boards() if wanted else None
        if not isinstance(listed, BoardsListed):
            return
        for one in listed.boards:
            if one.name in wanted and not (one.can_build and one.can_simulate):
                raise errors.Unusable(
                    f"board: {one.name} cannot be made on {listed.runner} now: {'; '.join(one.missing)}"
                )

    async def design(self, asked: DesignSystem) -> SystemDesigned:
        """What a runner's model would build. Raises ``Unusable``, ``EventTooLarge`` and ``NobodyDesigns``."""
        answer = await self._asked("design", asked, SystemDesigned, within_s=DESIGN_WITHIN_S)
        if isinstance(answer, SystemDesigned):
            return answer
        match answer.code:
            case "nobody_there":
                raise errors.NobodyDesigns("no agent runner is there to design it; start one with `benchwire up`")
            case "no_answer":
                raise errors.NobodyDesigns(
                    f"no agent runner has designed it within {DESIGN_WITHIN_S:g} s; ask for less"
                )
            case code if code in _NOT_THEIR_FAULT:
                raise errors.Unusable(f"prompt: {answer.detail}")
            case _:
                raise errors.NobodyDesigns(answer.detail)

    async def _asked(self, verb: str, ask: Any, answer: type[Answer], *, within_s: float) -> Answer | Refused:
        try:
            return await self._bus.ask(f"ask.agent.{verb}", ask, answer, timeout_s=within_s)
        except MaxPayloadError:
            raise EventTooLarge(
                "what is asked for is more than an agent runner can be told in one piece; say it in fewer words"
            ) from None
        except msgspec.MsgspecError as error:
            return Refused(code="unreadable", detail=f"the agent runner answered what cannot be read: {error}")


def known_boards() -> list[BoardAbility]:
    """The boards as their profiles tell of them; whether a host has the tools for one, they cannot tell. Reads files."""
    return [
        BoardAbility(
            name=one.name, title=one.title, aliases=list(one.aliases), architecture=one.architecture, can_build=False,
            can_simulate=False, can_flash=one.driver is not None, missing=[NO_RUNNER, *_never(one)],
        )
        for one in map(profile.load, profile.names())
    ]  # fmt: skip


def _never(one: profile.Profile) -> list[str]:
    """What nobody can do for such boards."""
    found = [] if one.simulator is not None else [str(profile.NotSimulated(one.name))]
    return found if one.driver is not None else [*found, str(profile.NotFlashed(one))]
