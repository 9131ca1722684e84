"""Answers those who ask for a hand on a board, or what a board is."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from benchwire.events.asks import Handled, HandleDevice, HostScanned, Identified, IdentifyDevice, Refused, ScanHost
from benchwire.events.device import DeviceHandled
from benchwire.events.log import Log, LogUnavailable
from benchwire.flash_agent import bench, identifying
from benchwire.flash_agent.errors import ResetFailed
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
            return self._wrong_host(asked.host)
        return HostScanned(host=self._host, devices=await self._inventory.scan())

    async def handle(self, body: bytes) -> Handled | Refused:
        """Resets a board, brings it into its loader, or switches its supply."""
        asked = msgspec.json.decode(body, type=HandleDevice)
        board = await self._free(asked.host, asked.device, asked.lease_id)
        if isinstance(board, Refused):
            return board
        try:
            async with board.turn:
                await bench.lay_hand(board, asked.do)
        except ResetFailed as error:
            return Refused(code=error.code, detail=str(error))
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
        board = await self._free(asked.host, asked.device, asked.lease_id)
        if isinstance(board, Refused):
            return board
        if identifying.order_for(board.device) is None:
            return Refused(code="no_driver", detail=f"nobody knows how to ask {asked.device} what it is")
        fact = await self._identifying.identify(board)
        return Identified(chip=fact.chip, profile=fact.profile, problem=fact.problem)

    async def _free(self, host: str, device: str, lease_id: str | None) -> Board | Refused:
        """The board, when it may be touched under that lease."""
        if host != self._host:
            return self._wrong_host(host)
        board = self._inventory.board(device)
        if board is None:
            return Refused(code="device_not_attached", detail=f"{device} is not attached to {host}")
        refusal = await self._refusal(device, lease_id=lease_id)
        if refusal is not None:
            return Refused(code=refusal.code, detail=str(refusal))
        if board.turn.locked():
            return Refused(
                code="device_busy", detail=f"{device} is in use at this moment; wait for its job, or cancel that"
            )
        return board

    def _wrong_host(self, host: str) -> Refused:
        return Refused(code="wrong_host", detail=f"this is {self._host}, not {host}")
