"""One attempt at one job: the image goes onto the board, or it is known how far it came."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from benchwire.events import cancels
from benchwire.flash_agent import bench
from benchwire.flash_agent.errors import DeviceGone, FlashError
from benchwire.flash_agent.inventory import Board
from benchwire.flash_agent.tools.process import Tool, working
from benchwire.flash_agent.tools.worker_protocol import (
    AnyOrder,
    At,
    Done,
    EsptoolOrder,
    FlashState,
    Paused,
    PauseDeferred,
    PyocdOrder,
    Resumed,
    Saying,
    Throttled,
    Verified,
)

log = logging.getLogger(__name__)

CANCEL_GRACE_S = 2.0


class Wishes:
    """What others want of a running job. ``changed`` is set whenever there is a new wish."""

    def __init__(self) -> None:
        self.cancel = asyncio.Event()
        self.pause: bool | None = None  # None while nobody asked
        self.max_bytes_per_s: int | None = None
        self.throttles = 0  # how often somebody asked for a limit
        self.changed = asyncio.Event()

    def ask(self, *, cancel: bool = False, pause: bool | None = None) -> None:
        """A new wish; a cancel cannot be taken back."""
        if cancel:
            self.cancel.set()
        if pause is not None:
            self.pause = pause
        self.changed.set()

    def throttle(self, max_bytes_per_s: int | None) -> None:
        """A new limit, other than that of the order; None lifts it."""
        self.max_bytes_per_s = max_bytes_per_s
        self.throttles += 1
        self.changed.set()


class Succeeded(msgspec.Struct, frozen=True):
    """The image is there, and the board runs it."""

    verified_by: str


class Broke(msgspec.Struct, frozen=True):
    """It did not work."""

    error: FlashError
    flash_state: FlashState


class Stopped(msgspec.Struct, frozen=True):
    """It was ended on request."""

    flash_state: FlashState


Outcome = Succeeded | Broke | Stopped
Heard = Callable[[Saying], Awaitable[None]]


class Attempt:
    """``heard`` is told everything the tool says."""

    def __init__(
        self, *, job_id: str, board: Board, order: AnyOrder, image: bytes, wishes: Wishes, heard: Heard
    ) -> None:
        self._job_id = job_id
        self._board = board
        self._order = order
        self._image = image
        self._wishes = wishes
        self._heard = heard
        self._shares_port = isinstance(order, EsptoolOrder)
        self._verified_by = ""
        self.flash_state: FlashState = "untouched"

    async def run(self) -> Outcome:
        """Flashes, verifies, boots."""
        try:
            async with self._board.turn, self._port_lent():
                await self._with_tool()
        except FlashError as error:
            return self._broken(error)
        return Succeeded(self._verified_by)

    def _broken(self, error: FlashError) -> Outcome:
        if self._board.gone.is_set():
            return self.gone()
        if self._wishes.cancel.is_set():
            return Stopped(self.flash_state)
        return Broke(error, self.flash_state)

    def gone(self) -> Broke:
        """The board vanished meanwhile: that explains whatever the tool complained about."""
        return Broke(DeviceGone(self._board.device.name), self.flash_state)

    @contextlib.asynccontextmanager
    async def _port_lent(self) -> AsyncIterator[None]:
        """The tool has the serial port for itself, if it needs it, and the board is in its loader, if it needs that."""
        if isinstance(self._order, PyocdOrder):
            yield
            return

        def goes_back() -> bool:
            return self.flash_state == "untouched"

        async with bench.in_loader(self._board, goes_back=goes_back, lends_port=self._shares_port):
            yield

    async def _with_tool(self) -> None:
        async with (
            working(self._order, self._image) as tool,
            cancels.beside(self._watch(tool), name=f"hearing wishes for {self._job_id}"),
        ):
            try:
                async for saying in tool.said():
                    self.flash_state = tool.flash_state
                    await self._on(saying, tool)
            finally:
                self.flash_state = tool.flash_state

    async def _on(self, saying: Saying, tool: Tool) -> None:
        match saying:
            case Verified():
                self._verified_by = saying.verified_by
                await self._heard(At(flash_state="complete", stage="resetting"))
                await self._boot(tool)
            case At() | Paused() | PauseDeferred() | Resumed() | Throttled() | Done():
                await self._heard(saying)

    async def _boot(self, tool: Tool) -> None:
        """The monitor listens before the board speaks, so that nothing of the boot is lost."""
        console = self._board.console
        if console is not None and not await console.resume():
            log.warning("%s boots without a monitor: its port is not free", self._board.device.name)
        if self._shares_port:
            await bench.lay_hand(self._board, "reset", job_id=self._job_id, is_esp=True)
        elif console is not None:
            console.booting(self._job_id)
        await tool.tell("go")

    async def _watch(self, tool: Tool) -> None:
        """Brings wishes to the tool, and ends it when it does not end by itself, or when its board is gone."""
        gone = asyncio.create_task(self._board.gone.wait())
        throttles = 0
        try:
            while not self._board.gone.is_set() and not self._wishes.cancel.is_set():
                self._wishes.changed.clear()
                if self._wishes.throttles > throttles:
                    throttles = self._wishes.throttles
                    await tool.tell("throttle", max_bytes_per_s=self._wishes.max_bytes_per_s)
                await tool.tell("pause" if self._wishes.pause else "resume")
                changed = asyncio.create_task(self._wishes.changed.wait())
                try:
                    await asyncio.wait([gone, changed], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
            if not self._board.gone.is_set():
                await tool.tell("cancel")
                await asyncio.wait([gone], timeout=CANCEL_GRACE_S)
            await tool.stop()
        finally:
            gone.cancel()
