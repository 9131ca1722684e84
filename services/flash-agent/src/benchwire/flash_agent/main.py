"""The flash agent of one host: settings → log → projection → boards and jobs, and an orderly end."""

import asyncio
import logging
import os
from datetime import UTC, datetime

from benchwire.events import service, settings
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus, connected
from benchwire.events.clock import Clock
from benchwire.events.host import HostStarted, HostStopped
from benchwire.events.log import Log, LogUnavailable
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection
from benchwire.events.sole import Sole
from benchwire.flash_agent import queries
from benchwire.flash_agent.captures import Captures
from benchwire.flash_agent.finding.places import Places
from benchwire.flash_agent.granting import Granting
from benchwire.flash_agent.hands import Hands
from benchwire.flash_agent.identifying import Identifying
from benchwire.flash_agent.inventory import Inventory
from benchwire.flash_agent.projection import schema
from benchwire.flash_agent.run import Means
from benchwire.flash_agent.settings import Settings
from benchwire.flash_agent.tools.drivers import DRIVERS
from benchwire.flash_agent.worker import Worker
from benchwire.flash_agent.writing import Writing

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
    places = await asyncio.to_thread(Places, wanted)
    async with connected(wanted, name=f"{NAME} {host}") as bus:
        projection = Projection(bus, wanted.projection_file, schema(host))
        async with projection.running():
            await _on_this_host(bus, projection, wanted, host, places)


async def _on_this_host(bus: Bus, projection: Projection, wanted: Settings, host: str, places: Places) -> None:
    facts = Log(bus)
    version = service.version_of("benchwire-flash-agent")
    present = Present(service=NAME, name=host, version=version, pid=os.getpid(), lacking=projection.state.lacking or "")
    sole = Sole(Presence(bus), present, setting="BENCHWIRE_HOST", file=wanted.last_run_file)
    await sole.check()  # before anything is said in the name of the host
    told, identified = await projection.read(queries.attached), await projection.read(queries.identified)
    started = HostStarted(timestamp=datetime.now(UTC), host=host, version=version, drivers=list(DRIVERS))
    await facts.append(started)
    stopped = _Stopped(facts, host)
    try:
        async with asyncio.TaskGroup() as tasks:
            inventory = Inventory(facts, host, places.sources, told=told, identified=identified, tasks=tasks)
            places.in_use, places.look = inventory.in_use, inventory.look_now
            tasks.create_task(places.watch(), name="places")
            await places.known()
            await inventory.scan()
            clock = Clock(bus)
            await clock.look()
            granting = Granting(facts, projection, host, clock)
            means = Means(
                log=facts, blobs=Blobs(bus, may_purge=False), inventory=inventory, granting=granting, clock=clock,
                tools=asyncio.Semaphore(wanted.max_tools), pause_limit_s=wanted.pause_limit_s,
            )  # fmt: skip
            worker = Worker(bus, projection, host, means, ack_wait_s=wanted.ack_wait_s)
            writing = Writing(facts, inventory, host, granting.refusal)
            captures = Captures(bus, facts, inventory, host, directory=wanted.captures_dir, clock=clock)
            stopped.interrupted = worker.interrupted
            projection.on_commit(granting.heard)
            projection.on_commit(worker.heard)
            identifying = Identifying(facts, host, inventory, granting.refusal, automatic=wanted.identify == "on")
            hands = Hands(facts, host, inventory, granting.refusal, identifying)
            answers = hands.endpoints() | {f"ask.host.{host}.write_serial": writing.write}
            # Whoever sees that this host is there may ask it at once.
            async with bus.serving(NAME, version, answers), sole.announced():
                tasks.create_task(granting.run(), name="granting")
                tasks.create_task(identifying.run(), name="identifying")
                tasks.create_task(inventory.watch(), name="inventory")
                tasks.create_task(worker.run(), name="worker")
                tasks.create_task(captures.run(), name="captures")
                log.info("host %s is ready", host)
                service.ready()
                await sole.lost()
    finally:
        if not sole.is_lost:  # the host is there; it is another one
            await stopped.tell()


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
