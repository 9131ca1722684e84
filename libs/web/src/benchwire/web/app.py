"""A Litestar app as all our services want it."""

from collections.abc import Collection, Mapping, Sequence

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler

from benchwire.web.access import OPEN_PATHS
from benchwire.web.cors import cors
from benchwire.web.errors import handlers
from benchwire.web.explorer import DocumentPlugin, ExplorerPlugin, files
from benchwire.web.origins import DEFAULT_ORIGINS
from benchwire.web.rate import limit
from benchwire.web.room import Room
from benchwire.web.scopes import Scoped
from benchwire.web.settings import BODIES_LIMIT_BYTES, BODY_LIMIT_BYTES


def made(
    title: str,
    routes: Sequence[ControllerRouterHandler],
    *,
    version: str = "0",
    statuses: Mapping[type[Exception], int] | None = None,
    dependencies: Mapping[str, Provide] | None = None,
    origins: Sequence[str] = DEFAULT_ORIGINS,
    body_limit_bytes: int = BODY_LIMIT_BYTES,
    bodies_limit_bytes: int = BODIES_LIMIT_BYTES,
    rate_limit: str = "",
    open_paths: Collection[str] = OPEN_PATHS,
) -> Litestar:
    """An app with our error shape, CORS, scopes of tokens, limits on bodies and calls, and its OpenAPI document under ``/schema``.

    ``statuses`` is the service's table of errors; ``open_paths`` are those that the guard around it lets pass without a token.
    ``body_limit_bytes`` is for one body, ``bodies_limit_bytes`` for all that are in memory at a time (``room``). Logging stays as
    ``benchwire.events.service`` set it up.
    """
    limited = limit(rate_limit)
    room = Room(bodies_limit_bytes, usual_bytes=body_limit_bytes)
    return Litestar(
        route_handlers=[*routes, files()],
        dependencies=dict(dependencies or {}),
        exception_handlers=dict(handlers(statuses)),
        cors_config=cors(origins),
        middleware=[*([limited.middleware] if limited else []), Scoped(), room],
        request_max_body_size=body_limit_bytes,
        openapi_config=OpenAPIConfig(
            title=title,
            version=version,
            path="/schema",
            render_plugins=[ExplorerPlugin(title), DocumentPlugin(open_paths)],
        ),
        logging_config=None,
    )
