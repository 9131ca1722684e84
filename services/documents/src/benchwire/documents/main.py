"""The document store: settings, log, projection, app, in one TaskGroup."""

import asyncio
import os
from collections.abc import Callable

from benchwire.documents import app, upload
from benchwire.documents.live import Live
from benchwire.documents.projection import SCHEMA
from benchwire.documents.settings import Settings
from benchwire.documents.store import Store
from benchwire.events import service
from benchwire.events.bus import connected
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection
from benchwire.events.settings import load
from benchwire.web import access
from benchwire.web.serve import fast_loop, serve


async def run() -> None:
    """Serves, as the environment says, until it is cancelled."""
    await serving(load(Settings))


async def serving(settings: Settings, on_ready: Callable[[int], None] = lambda _: None) -> None:
    """Serves until it is cancelled; ``on_ready`` gets the port once calls are answered."""
    token = access.checked(settings.documents_host, settings.token)
    version = service.version_of("benchwire-documents")
    present = Present(service="documents", name=settings.instance, version=version, pid=os.getpid())
    async with connected(settings, name=f"documents@{settings.instance}") as bus:
        projection = Projection(bus, settings.home / "projection.sqlite", SCHEMA)
        store = Store(
            bus,
            projection,
            incoming=settings.home / "incoming",
            max_bytes=settings.documents_max_bytes,
            base_url=settings.base_url(settings.documents_port),
        )
        live = Live(store)

        def ready(port: int) -> None:
            store.base_url = settings.base_url(port)
            on_ready(port)

        async with projection.running():
            await upload.cleared(store.incoming)  # the file's lock is ours, so nobody else is writing there
            async with Presence(bus).announced(present), asyncio.TaskGroup() as tasks:
                beside = [tasks.create_task(live.run()), tasks.create_task(store.freeing.sweep())]
                guarded = access.Guard(
                    app.made(store, live, version=version, origins=settings.cors_origins),
                    token=token,
                    origins=settings.cors_origins,
                )
                try:
                    await serve(guarded, host=settings.documents_host, port=settings.documents_port, on_ready=ready)
                finally:
                    for one in beside:
                        one.cancel()


def main() -> None:
    """The command ``benchwire-documents``."""
    fast_loop()
    service.run("documents", run)
