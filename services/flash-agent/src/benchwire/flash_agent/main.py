"""The flash agent of one host: settings → log → projection → boards and jobs, and an orderly end."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from benchwire.events import service, settings
from benchwire.events.asks import HostScanned, Refused, ScanHost
from benchwire.events.bus import Bus, connected
from benchwire.events.host import HostStarted, HostStopped
from benchwire.events.log import Log, LogUnavailable
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection
from benchwire.flash_agent import probes, queries
from benchwire.flash_agent.inventory import Inventory
from benchwire.flash_agent.projection import schema
from benchwire.flash_agent.settings import Settings
from benchwire.flash_agent.tools.drivers import DRIVERS
from benchwire.flash_agent.worker import Worker

log = logging.getLogger(__name__)

NAME = "flash-agent"
LAST_WORDS_S = 0.7


def main() -> None:
    """The command ``benchwire-flash-agent``."""
    service.run(NAME, serve)


async def serve() -> None:
    """Runs until cancelled. Raises what ``service.run`` explains: wrong settings, no NATS, a projection in use."""
    wanted = settings.load(Settings)
    host = wanted.name
    async with connected(wanted, name=f"{NAME} {host}") as bus:
        projection = Projection(bus, wanted.projection_file, schema(host))
        async with projection.running():
            await _on_this_host(bus, projection, wanted, host)


async def _on_this_host(bus: Bus, projection: Projection, wanted: Settings, host: str) -> None:
    facts = Log(bus)
    version = service.version_of("benchwire-flash-agent")
    present = Present(service=NAME, name=host, version=version, pid=os.getpid())
    told = await projection.read(queries.attached)
    started = HostStarted(timestamp=datetime.now(UTC), host=host, version=version, drivers=list(DRIVERS))
    await facts.append(started)
    stopped = _Stopped(facts, host)
    try:
        async with asyncio.TaskGroup() as tasks:
            inventory = Inventory(facts, host, probes.sources(wanted.virtual_dir), told, tasks)
            await inventory.scan()
            worker = Worker(bus, facts, projection, inventory, host, ack_wait_s=wanted.ack_wait_s)
            stopped.interrupted = worker.interrupted
            projection.on_commit(worker.heard)
            tasks.create_task(inventory.watch(), name="inventory")
            tasks.create_task(worker.run(), name="worker")
            async with (
                Presence(bus).announced(present),
                bus.serving(NAME, version, {f"ask.host.{host}.scan": _scanning(inventory, host)}),
            ):
                log.info("host %s is ready", host)
                await asyncio.Event().wait()
    finally:
        await stopped.tell()


def _scanning(inventory: Inventory, host: str) -> Callable[[bytes], Awaitable[msgspec.Struct]]:
    async def scan(body: bytes) -> msgspec.Struct:
        asked = msgspec.json.decode(body, type=ScanHost)
        if asked.host != host:
            return Refused(code="wrong_host", detail=f"this is {host}, not {asked.host}")
        return HostScanned(host=host, devices=await inventory.scan())

    return scan


class _Stopped:
    """The last fact of this run."""

    def __init__(self, facts: Log, host: str) -> None:
        self.interrupted: list[str] = []
        self._facts = facts
        self._host = host

    async def tell(self) -> None:
        reason = "stopped in order"
        if self.interrupted:
            reason += f"; taken up again at the next start: {', '.join(self.interrupted)}"
        fact = HostStopped(timestamp=datetime.now(UTC), host=self._host, reason=reason)
        try:
            await self._facts.append(fact, deadline_s=LAST_WORDS_S)
        except LogUnavailable:
            log.warning("nobody could be told that this host stops; its presence will expire")
