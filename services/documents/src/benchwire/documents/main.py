"""The document store: settings, log, projection, app, in one TaskGroup."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime

from benchwire.documents import app
from benchwire.documents.asking import Asking
from benchwire.documents.cache import Cache
from benchwire.documents.captures import Captures
from benchwire.documents.commands import Limits
from benchwire.documents.live import Live
from benchwire.documents.projection import SCHEMA
from benchwire.documents.retention import Retention
from benchwire.documents.search.index import Index
from benchwire.documents.search.indexer import Indexer
from benchwire.documents.settings import Settings
from benchwire.documents.store import Store
from benchwire.events import service
from benchwire.events.bus import connected
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection
from benchwire.events.settings import load
from benchwire.web import access, temporary
from benchwire.web.callers import Callers
from benchwire.web.cors import cors
from benchwire.web.gate import Gate
from benchwire.web.metrics import of_gate
from benchwire.web.observed import Observed
from benchwire.web.serve import fast_loop, serve, settled


async def run() -> None:
    """Serves, as the environment says, until it is cancelled."""
    await serving(load(Settings), settled)


async def serving(settings: Settings, on_ready: Callable[[int], None] = lambda _: None) -> None:
    """Serves until it is cancelled; ``on_ready`` gets the port once calls are answered."""
    callers = access.checked(settings.documents_host, await asyncio.to_thread(Callers.configured, settings))
    version = service.version_of("benchwire-documents")
    present = Present(service="documents", name=settings.instance, version=version, pid=os.getpid())
    async with connected(settings, name=f"documents@{settings.instance}") as bus:
        projection = Projection(bus, settings.home / "projection.sqlite", SCHEMA)
        cache = Cache(settings.home / "cache", settings.cache_bytes)
        store = Store(
            bus,
            projection,
            incoming=settings.home / "incoming",
            cache=cache,
            max_bytes=settings.documents_max_bytes,
            base_url=settings.base_url(settings.documents_port),
            limits=Limits(total_bytes=settings.documents_total_bytes, documents=settings.documents_total),
            grace_s=settings.documents_grace_s,
        )
        index = Index(settings.home / "search.sqlite", settings.home / "projection.sqlite")
        indexer = Indexer(bus, projection, store.blobs, index)
        retention = Retention(store, lambda: datetime.now(UTC))
        live = Live(store)
        captures = Captures(bus, Log(bus, on_append=store.metrics.appended))

        def ready(port: int) -> None:
            store.base_url = settings.base_url(port)
            on_ready(port)

        async with callers.followed(), projection.running():
            await temporary.cleared(store.incoming)  # the file's lock is ours, so nobody else is writing there
            await cache.load()
            await indexer.opened()
            answers = Asking(store, indexer).endpoints()
            # Whoever sees that this service is there may ask it at once.
            async with (
                bus.serving("documents", version, answers),
                Presence(bus).announced(present),
                asyncio.TaskGroup() as tasks,
            ):
                works = (live.run(), store.freeing.run(), indexer.run(), retention.run(), captures.run())
                beside = [tasks.create_task(one) for one in works]
                guarded = access.Guard(
                    app.made(store, live, indexer, settings, callers, version=version),
                    callers=callers,
                    pages=cors(settings.origins),
                    served_as=settings.served_as,
                    wrong_tokens_per_minute=settings.wrong_tokens_per_minute,
                )
                gate = Gate(settings)
                of_gate(store.metrics, gate)
                try:
                    await serve(
                        Observed(guarded, store.metrics),
                        host=settings.documents_host,
                        port=settings.documents_port,
                        gate=gate,
                        on_ready=ready,
                    )
                finally:
                    for one in beside:
                        one.cancel()


def main() -> None:
    """The command ``benchwire-documents``."""
    fast_loop()
    service.run("documents", run)
