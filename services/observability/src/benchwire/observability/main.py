"""The wiring: settings, the log, rows, frames, routes; and their orderly end."""

import asyncio
import logging
import os
from collections.abc import Callable

from benchwire.boards import profile
from benchwire.events.bus import connected
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection
from benchwire.events.service import run
from benchwire.events.settings import load
from benchwire.observability.app import guarded
from benchwire.observability.feeds import Feeds
from benchwire.observability.lab import Lab
from benchwire.observability.projection import SCHEMA
from benchwire.observability.settings import VERSION, Settings
from benchwire.web.access import checked
from benchwire.web.serve import fast_loop, serve

log = logging.getLogger(__name__)

NAME = "observability"


async def observe(settings: Settings, *, on_ready: Callable[[int], None] | None = None) -> None:
    """Runs the service until it is cancelled; ``on_ready`` is told the port."""
    checked(settings.observability_host, settings.token)
    await asyncio.to_thread(profile.names)  # read once; from then on they are in memory
    async with connected(settings, name=NAME) as bus:
        projection = Projection(bus, settings.projection_file, SCHEMA)
        lab = Lab(bus, projection, outbox_bytes=settings.outbox_bytes)
        feeds = Feeds(lab)
        present = Present(service=NAME, name=NAME, version=VERSION, pid=os.getpid())
        async with projection.running(), feeds.running(), Presence(bus).announced(present):
            await serve(
                guarded(lab, feeds, settings),
                host=settings.observability_host,
                port=settings.observability_port,
                on_ready=_telling(settings, on_ready),
            )


def _telling(settings: Settings, on_ready: Callable[[int], None] | None) -> Callable[[int], None]:
    def tell(port: int) -> None:
        log.info("serving on http://%s:%d", settings.observability_host, port)
        if on_ready is not None:
            on_ready(port)

    return tell


async def _serve() -> None:
    await observe(load(Settings))


def main() -> None:
    """The command ``benchwire-observability``."""
    fast_loop()
    run(NAME, _serve)


if __name__ == "__main__":
    main()
