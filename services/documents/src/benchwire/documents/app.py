"""The routes, put together."""

from litestar import Litestar
from litestar.di import Provide

from benchwire.documents.errors import STATUS
from benchwire.documents.live import Live
from benchwire.documents.routes import bulk, contents, documents, health, links, sockets
from benchwire.documents.search.indexer import Indexer
from benchwire.documents.settings import Settings
from benchwire.documents.store import Store
from benchwire.web import app as web
from benchwire.web.callers import Callers
from benchwire.web.metrics import metrics_route

_ROOMS = (health, documents, contents, bulk, links, sockets)


def made(store: Store, live: Live, search: Indexer, settings: Settings, callers: Callers, *, version: str) -> Litestar:
    """The app around ``store``."""
    return web.made(
        "Benchwire documents",
        [*(route for room in _ROOMS for route in room.ROUTES), metrics_route],
        version=version,
        statuses=STATUS,
        dependencies={
            "store": Provide(lambda: store, sync_to_thread=False),
            "live": Provide(lambda: live, sync_to_thread=False),
            "search": Provide(lambda: search, sync_to_thread=False),
            "callers": Provide(lambda: callers, sync_to_thread=False),
            "metrics": Provide(lambda: store.metrics, sync_to_thread=False),
        },
        origins=settings.origins,
        body_limit_bytes=settings.body_limit_bytes,
        bodies_limit_bytes=settings.bodies_limit_bytes,
        rate_limit=settings.rate_limit,
    )
