"""What anybody may ask a runner: what it would design, and for which boards it can make firmware."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from benchwire.agent.errors import ModelFailed
from benchwire.agent.firmware.design import NotDesigned, designed
from benchwire.agent.lab import Lab
from benchwire.agent.model.endpoint import NOT_CONFIGURED
from benchwire.boards import profile as profiles
from benchwire.boards.profile import Profile
from benchwire.events.asks import BoardAbility, BoardsListed, DesignSystem, ListBoards, Refused, SystemDesigned

MAX_DESIGNS = 4
MAX_WAITING = 12
DESIGN_S = 300.0

Answer = Callable[[bytes], Awaitable[msgspec.Struct]]


class Asking:
    """Answers for this runner."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._places = asyncio.Semaphore(MAX_DESIGNS)
        self._asked = 0

    def endpoints(self) -> dict[str, Answer]:
        """Who answers which subject."""
        return {"ask.agent.design": self.design, "ask.agent.boards": self.boards}

    async def design(self, body: bytes) -> SystemDesigned | Refused:
        """A system that the model makes of plain words; nothing is built."""
        asked = msgspec.json.decode(body, type=DesignSystem)
        if self._lab.model is None:
            return Refused(code="no_model", detail=NOT_CONFIGURED)
        if self._asked >= MAX_DESIGNS + MAX_WAITING:
            return Refused(code="busy", detail=f"{self._asked} designs are asked for at the moment; ask again later")
        self._asked += 1
        try:
            async with asyncio.timeout(DESIGN_S), self._places:
                return await designed(
                    self._lab.model, prompt=asked.prompt, answers=asked.answers, board=asked.board, deploy=True
                )
        except NotDesigned as error:
            return Refused(code="unusable", detail=str(error))
        except ModelFailed as error:
            return Refused(code="model_failed", detail=str(error))
        except TimeoutError:
            return Refused(code="too_late", detail=f"the model did not design it within {DESIGN_S:g} s; ask for less")
        finally:
            self._asked -= 1

    async def boards(self, body: bytes) -> BoardsListed:
        """Every board profile, and what this host can do for it."""
        msgspec.json.decode(body, type=ListBoards)
        return BoardsListed(runner=self._lab.settings.runner, boards=await asyncio.to_thread(abilities))


def abilities() -> list[BoardAbility]:
    """What this host can do for which profile. Looks for programs on the disk."""
    return [_ability(profiles.load(name)) for name in profiles.names()]


def _ability(profile: Profile) -> BoardAbility:
    return BoardAbility(
        name=profile.name, title=profile.title, aliases=list(profile.aliases), architecture=profile.architecture,
        **msgspec.structs.asdict(profiles.ability(profile)),
    )  # fmt: skip
