"""The boards of this host: finds them, tells the log, watches their serial ports."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from contextvars import Context
from datetime import UTC, datetime

import msgspec

from benchwire.events.device import DeviceAttached, DeviceDetached
from benchwire.events.event import IllegalToken, token
from benchwire.events.log import Log, LogUnavailable
from benchwire.flash_agent.console import Console
from benchwire.flash_agent.probes import Device, Source

log = logging.getLogger(__name__)

_NEVER = datetime.fromtimestamp(0, UTC)


class Board:
    """A board that is plugged in. ``gone`` is set when it vanishes; what comes back later is another ``Board``."""

    def __init__(self, device: Device, console: Console | None) -> None:
        self.device = device
        self.console = console
        self.gone = asyncio.Event()


def fact_of(host: str, device: Device, now: datetime) -> DeviceAttached:
    """What the log says of ``device``."""
    return DeviceAttached(
        timestamp=now,
        host=host,
        device=device.name,
        profile=device.profile,
        driver=device.driver,
        port=device.port,
        probe=device.probe,
        chip=device.chip,
        serial_number=device.serial_number,
        vid=device.vid,
        pid=device.pid,
        virtual=device.virtual,
    )


class Inventory:
    """What is plugged in, and what the log holds for plugged in (``told``): the difference becomes facts."""

    def __init__(
        self, log_: Log, host: str, sources: Sequence[Source], told: dict[str, DeviceAttached], tasks: asyncio.TaskGroup
    ) -> None:
        self._log = log_
        self._host = host
        self._sources = sources
        self._told = {name: _timeless(fact) for name, fact in told.items()}
        self._tasks = tasks
        self._boards: dict[str, Board] = {}
        self._monitors: dict[str, asyncio.Task[None]] = {}
        self._found: dict[str, list[Device]] = {}
        self._replugged: set[str] = set()
        self._turn = asyncio.Lock()
        self._complaints: dict[str, str] = {}

    def board(self, name: str) -> Board | None:
        """The board of that name, if it is plugged in."""
        return self._boards.get(name)

    async def scan(self) -> list[str]:
        """Looks everywhere now; the names of what is there."""
        for source in self._sources:
            await self._look(source)
        await self._settle()
        return sorted(self._boards)

    async def watch(self) -> None:
        """Looks again and again."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(self._watch(source))

    async def _watch(self, source: Source) -> None:
        while True:
            await asyncio.sleep(source.period_s)
            await self._look(source)
            await self._settle()

    async def _look(self, source: Source) -> None:
        try:
            self._found[source.name] = await asyncio.to_thread(source.find)
            self._complaints.pop(source.name, None)
        except (OSError, ValueError) as error:
            # What cannot be looked at has not vanished; msgspec's DecodeError is a ValueError.
            if self._complaints.get(source.name) != str(error):
                self._complaints[source.name] = str(error)
                log.warning("%s cannot be listed: %s", source.name, error)

    async def _settle(self) -> None:
        async with self._turn:
            self._take_over(self._named())
            try:
                await self._tell()
            except LogUnavailable as error:
                log.warning("what is plugged in could not be told, and will be told later: %s", error)

    def _named(self) -> dict[str, Device]:
        named: dict[str, Device] = {}
        for device in (one for found in self._found.values() for one in found):
            with contextlib.suppress(IllegalToken):
                named.setdefault(token(device.name), device)
        return named

    def _take_over(self, found: dict[str, Device]) -> None:
        for name, board in list(self._boards.items()):
            if found.get(name) != board.device:
                log.info("%s is gone", name)
                self._unplug(name)
                if name in found:
                    self._replugged.add(name)
        for name, device in found.items():
            if name not in self._boards:
                log.info("%s is there (%s)", name, device.port or device.probe)
                self._plug(device)

    def _plug(self, device: Device) -> None:
        console = None
        if device.port is not None:
            console = Console(
                host=self._host, device=device.name, port=device.port, baud=device.baud, send=self._log.sample
            )
            # In a context of its own: a scan may be part of some job, and the monitor outlives that.
            self._monitors[device.name] = self._tasks.create_task(
                console.run(), name=f"console of {device.name}", context=Context()
            )
        self._boards[device.name] = Board(device, console)

    def _unplug(self, name: str) -> None:
        self._boards.pop(name).gone.set()
        monitor = self._monitors.pop(name, None)
        if monitor is not None:
            monitor.cancel()

    async def _tell(self) -> None:
        there = {name: fact_of(self._host, board.device, datetime.now(UTC)) for name, board in self._boards.items()}
        for name, told in list(self._told.items()):
            now = there.get(name)
            if now is None or name in self._replugged or _timeless(now) != told:
                reason = "unplugged" if now is None else "plugged in anew"
                await self._log.append(
                    DeviceDetached(timestamp=datetime.now(UTC), host=self._host, device=name, reason=reason)
                )
                del self._told[name]
                self._replugged.discard(name)
        for name, fact in there.items():
            if name not in self._told:
                await self._log.append(fact)
                self._told[name] = _timeless(fact)


def _timeless(fact: DeviceAttached) -> DeviceAttached:
    return msgspec.structs.replace(fact, timestamp=_NEVER)
