"""The routes, put together."""

from litestar import Litestar
from litestar.di import Provide

from benchwire.observability.boards.reports import Reports
from benchwire.observability.errors import STATUS
from benchwire.observability.feeds import Feeds
from benchwire.observability.lab import Lab
from benchwire.observability.routes import (
    agents,
    asyncapi,
    builds,
    deploy,
    devices,
    events,
    flash,
    health,
    history,
    leases,
    page,
    search,
    serial,
    sessions,
    sockets,
    steering,
    stream,
    tasks,
    transfer,
    usage,
)
from benchwire.observability.settings import VERSION, Settings
from benchwire.web.access import OPEN_PATHS, Guard
from benchwire.web.app import made
from benchwire.web.callers import Callers
from benchwire.web.cors import cors
from benchwire.web.metrics import metrics_route
from benchwire.web.straight import Straight

_ROOMS = (
    page,
    health,
    asyncapi,
    events,
    sessions,
    steering,
    history,
    search,
    stream,
    usage,
    transfer,
    agents,
    tasks,
    builds,
    devices,
    leases,
    flash,
    deploy,
    serial,
    sockets,
)
OPEN = OPEN_PATHS | {"/", "/page/"}  # the files of the page hold no data


def app(lab: Lab, feeds: Feeds, reports: Reports, settings: Settings, callers: Callers) -> Litestar:
    """The app, still without its guard."""
    return made(
        "Benchwire observability",
        [*(route for room in _ROOMS for route in room.ROUTES), metrics_route],
        version=VERSION,
        statuses=STATUS,
        dependencies={
            "lab": Provide(lambda: lab, sync_to_thread=False),
            "feeds": Provide(lambda: feeds, sync_to_thread=False),
            "reports": Provide(lambda: reports, sync_to_thread=False),
            "settings": Provide(lambda: settings, sync_to_thread=False),
            "callers": Provide(lambda: callers, sync_to_thread=False),
            "metrics": Provide(lambda: lab.metrics, sync_to_thread=False),
        },
        origins=settings.cors_origins,
        body_limit_bytes=settings.body_limit_bytes,
        bodies_limit_bytes=settings.bodies_limit_bytes,
        rate_limit=settings.rate_limit,
        open_paths=OPEN,
    )


def guarded(lab: Lab, feeds: Feeds, reports: Reports, settings: Settings, callers: Callers) -> Guard:
    """What is served."""
    made = app(lab, feeds, reports, settings, callers)
    return Guard(
        made if settings.rate_limit else Straight(made, lab),
        callers=callers,
        pages=cors(settings.cors_origins),
        open_paths=OPEN,
        served_as=settings.served_as,
        wrong_tokens_per_minute=settings.wrong_tokens_per_minute,
    )
