"""Writing to boards, on request: ``ask.host.{host}.write_serial``."""

import asyncio
import logging
from collections import defaultdict
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from benchwire.events.asks import Refused, SerialAccepted, WriteSerial
from benchwire.events.event import Event
from benchwire.events.log import Log, LogUnavailable
from benchwire.events.serial import SerialWritten
from benchwire.flash_agent.errors import FlashError, LabError, WriteTooLong, WrongHost
from benchwire.flash_agent.inventory import Inventory

log = logging.getLogger(__name__)

MAX_WRITE_BYTES = 64 << 10
_TOLD_S = 2.0


class Refusal(Protocol):
    """Who may touch a board."""

    async def __call__(self, device: str, *, lease_id: str | None = None) -> FlashError | None:
        """Why somebody with this lease, or without one, may not; None when they may."""


class Writing:
    """Serves one host. Of each board, what is asked first is written first."""

    def __init__(self, log_: Log, inventory: Inventory, host: str, refusal: Refusal) -> None:
        self._log = log_
        self._inventory = inventory
        self._host = host
        self._refusal = refusal
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def write(self, body: bytes) -> msgspec.Struct:
        """Answers one request, with ``SerialAccepted`` once the bytes are with the port and the log holds that."""
        asked = msgspec.json.decode(body, type=WriteSerial)
        try:
            if asked.host != self._host:
                raise WrongHost(self._host, asked.host)
            self._inventory.console(asked.device)  # before a turn is made for it: anybody may name anything
            async with self._turns[asked.device]:
                await self._written(asked)
                return await self._told(asked)
        except LabError as error:
            return Refused(code=error.code, detail=str(error))

    async def _written(self, asked: WriteSerial) -> None:
        if len(asked.data) > MAX_WRITE_BYTES:
            raise WriteTooLong(MAX_WRITE_BYTES)
        if (refused := await self._refusal(asked.device, lease_id=asked.lease_id)) is not None:
            raise refused
        await self._inventory.console(asked.device).write(asked.data)

    async def _told(self, asked: WriteSerial) -> msgspec.Struct:
        fact: Event = SerialWritten(
            timestamp=datetime.now(UTC), host=self._host, device=asked.device, data=asked.data, by=asked.by
        )
        try:
            await self._log.append(fact, deadline_s=_TOLD_S)
        except LogUnavailable as error:
            log.warning("%s was sent %d bytes that the log does not know of", asked.device, len(asked.data))
            detail = f"{asked.device} was sent all {len(asked.data)} bytes, but that could not be taken down: {error}"
            return Refused(code="log_unavailable", detail=detail)
        return SerialAccepted(written=len(asked.data))
