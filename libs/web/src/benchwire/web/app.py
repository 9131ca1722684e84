"""A Litestar app as all our services want it."""

from collections.abc import Mapping, Sequence

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ControllerRouterHandler

from benchwire.web.cors import DEFAULT_ORIGINS, cors
from benchwire.web.errors import handlers

BODY_LIMIT_BYTES = 8 << 20


def made(
    title: str,
    routes: Sequence[ControllerRouterHandler],
    *,
    version: str = "0",
    statuses: Mapping[type[Exception], int] | None = None,
    dependencies: Mapping[str, Provide] | None = None,
    origins: Sequence[str] = DEFAULT_ORIGINS,
    body_limit_bytes: int = BODY_LIMIT_BYTES,
) -> Litestar:
    """An app with our error shape, CORS, a limit on bodies, and its OpenAPI document at ``/schema/openapi.json``.

    ``statuses`` is the service's table of errors. Logging stays as ``benchwire.events.service`` set it up.
    """
    return Litestar(
        route_handlers=list(routes),
        dependencies=dict(dependencies or {}),
        exception_handlers=dict(handlers(statuses)),
        cors_config=cors(origins),
        request_max_body_size=body_limit_bytes,
        openapi_config=OpenAPIConfig(title=title, version=version, path="/schema", render_plugins=[JsonRenderPlugin()]),
        logging_config=None,
    )
