"""The wiring: settings, the log, rows, frames, routes; and their orderly end."""

import asyncio
import logging
import os
from collections.abc import Callable

from benchwire.boards import profile
from benchwire.events import prices
from benchwire.events.bus import connected
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection
from benchwire.events.service import run
from benchwire.events.settings import load
from benchwire.observability.app import guarded
from benchwire.observability.boards.reports import Reports
from benchwire.observability.feeds import Feeds
from benchwire.observability.lab import Lab
from benchwire.observability.projection import SCHEMA
from benchwire.observability.search.index import Search
from benchwire.observability.settings import VERSION, Settings
from benchwire.observability.stopping.orphans import Orphans
from benchwire.web import temporary
from benchwire.web.access import checked
from benchwire.web.callers import Callers
from benchwire.web.gate import Gate
from benchwire.web.metrics import of_gate
from benchwire.web.observed import Observed
from benchwire.web.serve import fast_loop, serve, settled

log = logging.getLogger(__name__)

NAME = "observability"


async def observe(settings: Settings, *, on_ready: Callable[[int], None] | None = None) -> None:
    """Runs the service until it is cancelled; ``on_ready`` is told the port."""
    callers = checked(settings.observability_host, await asyncio.to_thread(Callers.configured, settings))
    await asyncio.to_thread(profile.names)  # read once; from then on they are in memory
    price_table = await asyncio.to_thread(prices.read, settings.prices_file)
    async with connected(settings, name=NAME) as bus:
        projection = Projection(bus, settings.projection_file, SCHEMA)
        search = Search(bus, settings.search_file, beside=projection)
        lab = Lab(bus, projection, search, price_table, outbox_bytes=settings.outbox_bytes)
        feeds = Feeds(lab)
        reports = Reports(lab, feeds, silent_s=settings.orphaned_after_s)
        orphans = Orphans(lab, after_s=settings.orphaned_after_s)
        present = Present(service=NAME, name=NAME, version=VERSION, pid=os.getpid())
        async with (
            callers.followed(),
            projection.running(),
            lab.search.running(),
            feeds.running(),
            reports.watched(),
            orphans.watched(),
            Presence(bus).announced(present),
        ):
            await temporary.cleared(settings.incoming)  # the rows' lock is ours, so nobody else is writing there
            # Not on the loop: it takes a second, reads files, and the log follows us meanwhile.
            app = await asyncio.to_thread(guarded, lab, feeds, reports, settings, callers)
            gate = Gate(settings)
            of_gate(lab.metrics, gate)
            await serve(
                Observed(app, lab.metrics),
                host=settings.observability_host,
                port=settings.observability_port,
                gate=gate,
                on_ready=_telling(settings, on_ready),
            )


def _telling(settings: Settings, on_ready: Callable[[int], None] | None) -> Callable[[int], None]:
    def tell(port: int) -> None:
        log.info("serving on http://%s:%d", settings.observability_host, port)
        if on_ready is not None:
            on_ready(port)

    return tell


async def _serve() -> None:
    await observe(load(Settings), on_ready=settled)


def main() -> None:
    """The command ``benchwire-observability``."""
    fast_loop()
    run(NAME, _serve)


if __name__ == "__main__":
    main()
