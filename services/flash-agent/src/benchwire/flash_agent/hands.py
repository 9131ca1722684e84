"""Answers those who ask for a hand on a board, or what a board is."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from benchwire.events.asks import Handled, HandleDevice, HostScanned, Identified, IdentifyDevice, Refused, ScanHost
from benchwire.events.device import DeviceHandled
from benchwire.events.log import Log, LogUnavailable
from benchwire.flash_agent import bench, identifying
from benchwire.flash_agent.errors import DeviceBusy, DeviceNotAttached, LabError, NoDriver, WrongHost
from benchwire.flash_agent.identifying import Identifying
from benchwire.flash_agent.inventory import Board, Inventory
from benchwire.flash_agent.writing import Refusal

log = logging.getLogger(__name__)

Answering = Callable[[bytes], Awaitable[msgspec.Struct]]


class Hands:
    """``ask.host.{host}.scan``, ``.handle`` and ``.identify``."""

    def __init__(self, log_: Log, host: str, inventory: Inventory, refusal: Refusal, identifying: Identifying) -> None:
        self._log = log_
        self._host = host
        self._inventory = inventory
        self._refusal = refusal
        self._identifying = identifying

    def endpoints(self) -> dict[str, Answering]:
        """What is answered, by subject."""
        return {
            f"ask.host.{self._host}.scan": self.scan,
            f"ask.host.{self._host}.handle": self.handle,
            f"ask.host.{self._host}.identify": self.identify,
        }

    async def scan(self, body: bytes) -> HostScanned | Refused:
        """Looks for boards now."""
        asked = msgspec.json.decode(body, type=ScanHost)
        if asked.host != self._host:
            return _refused(WrongHost(self._host, asked.host))
        return HostScanned(host=self._host, devices=await self._inventory.scan())

    async def handle(self, body: bytes) -> Handled | Refused:
        """Resets a board, brings it into its loader, or switches its supply."""
        asked = msgspec.json.decode(body, type=HandleDevice)
        try:
            board = await self._free(asked.host, asked.device, asked.lease_id)
            async with board.turn:
                await bench.lay_hand(board, asked.do)
        except LabError as error:
            return _refused(error)
        fact = DeviceHandled(
            timestamp=datetime.now(UTC), host=self._host, device=asked.device, do=asked.do, by=asked.by
        )
        try:
            await self._log.append(fact)
        except LogUnavailable as error:
            log.warning("%s: %s was done, but could not be told: %s", asked.device, asked.do, error)
        return Handled(device=asked.device)

    async def identify(self, body: bytes) -> Identified | Refused:
        """Asks a board what it is. A problem with the answer is an answer."""
        asked = msgspec.json.decode(body, type=IdentifyDevice)
        try:
            board = await self._free(asked.host, asked.device, asked.lease_id)
            if identifying.order_for(board.device) is None:
                raise NoDriver(f"nobody knows how to ask {asked.device} what it is")
        except LabError as error:
            return _refused(error)
        fact = await self._identifying.identify(board)
        return Identified(chip=fact.chip, profile=fact.profile, problem=fact.problem)

    async def _free(self, host: str, device: str, lease_id: str | None) -> Board:
        """The board, when it may be touched under that lease. Raises the ``LabError`` that says why not."""
        if host != self._host:
            raise WrongHost(self._host, host)
        board = self._inventory.board(device)
        if board is None:
            raise DeviceNotAttached(device, host)
        if (refused := await self._refusal(device, lease_id=lease_id)) is not None:
            raise refused
        if board.turn.locked():
            raise DeviceBusy(device)
        return board


def _refused(error: LabError) -> Refused:
    return Refused(code=error.code, detail=str(error))
