"""The routes, put together."""

from litestar import Litestar
from litestar.di import Provide

from benchwire.observability.errors import STATUS
from benchwire.observability.feeds import Feeds
from benchwire.observability.lab import Lab
from benchwire.observability.routes import events, flash, health, sessions, sockets, tasks
from benchwire.observability.settings import VERSION, Settings
from benchwire.web.access import Guard
from benchwire.web.app import made

_ROOMS = (health, events, sessions, tasks, flash, sockets)


def app(lab: Lab, feeds: Feeds, settings: Settings) -> Litestar:
    """The app, still without its guard."""
    return made(
        "Benchwire observability",
        [route for room in _ROOMS for route in room.ROUTES],
        version=VERSION,
        statuses=STATUS,
        dependencies={
            "lab": Provide(lambda: lab, sync_to_thread=False),
            "feeds": Provide(lambda: feeds, sync_to_thread=False),
        },
        origins=settings.cors_origins,
    )


def guarded(lab: Lab, feeds: Feeds, settings: Settings) -> Guard:
    """What is served."""
    return Guard(app(lab, feeds, settings), token=settings.token, origins=settings.cors_origins)
