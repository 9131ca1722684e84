"""Inside of the running lab: the boards that were added are plugged in, and those that were removed go."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from benchwire.deploy.board import kept
from benchwire.deploy.board.kept import Kept
from benchwire.deploy.keeper import Keeper
from benchwire.deploy.lab import Lab
from benchwire.deploy.parts import board_part, board_part_name

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25


@contextlib.asynccontextmanager
async def followed(lab: Lab) -> AsyncGenerator[None, None]:
    """The boards that are kept are there, or cannot be, when the context is entered; from then on they come and go with their files."""
    following = _Following(lab)
    await following.look()
    await following.settled()
    looking = asyncio.create_task(following.look_again_and_again(), name="added boards")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


class _Following:
    """``_there`` are the boards of which the file was seen; the keeper is None for one whose name another part has."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._there: dict[str, tuple[Kept, Keeper | None]] = {}
        self._noted: dict[str, str] = {}

    async def look_again_and_again(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except OSError as error:  # a full disk, say; the boards that are there stay
                log.warning("the boards that were added cannot be followed: %s", error)

    async def settled(self) -> None:
        """Returns when each board is healthy or given up: the lab is there without a board that cannot be."""
        await asyncio.gather(*(keeper.settled() for _, keeper in self._there.values() if keeper is not None))
        self._note()

    async def look(self) -> None:
        """Plugs in and out what the files say now."""
        wanted = {board.name: board for board in await asyncio.to_thread(kept.read_all, self._lab.site.data)}
        for name, (board, _) in list(self._there.items()):
            if wanted.get(name) != board:
                await self._unplug(name)
        for name, board in wanted.items():
            if name not in self._there:
                self._there[name] = (board, self._plugged(board))
        self._note()

    def _plugged(self, board: Kept) -> Keeper | None:
        if board_part_name(board.name) in self._lab.states:
            return None  # `up --virtual` has plugged in a board of that name
        part = board_part(self._lab.site, board.profile, board.name, options=board.options, optional=True)
        return self._lab.plug(part)

    async def _unplug(self, name: str) -> None:
        _, keeper = self._there.pop(name)
        if keeper is not None:
            await self._lab.unplug(keeper)
        self._noted.pop(name, None)
        kept.note(self._lab.site.run_dir, name, None)

    def _note(self) -> None:
        """For the commands, which wait for a board that they added."""
        for name, (_, keeper) in self._there.items():
            said = {"healthy": "", "given_up": keeper.why}.get(keeper.state) if keeper is not None else ""
            if said is not None and self._noted.get(name) != said:
                kept.note(self._lab.site.run_dir, name, said)
                self._noted[name] = said
