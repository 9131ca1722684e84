"""The OpenAPI document for people: ``/schema`` in a browser.

Swagger UI comes from this machine (the package ``swagger-ui-bundle-v2`` brings its files), because a lab may have no way to the internet and
the content policy lets no page load from elsewhere. The page holds no data; it asks for a token, when one is needed, and fetches the document
with it.
"""

from collections.abc import Collection
from html import escape
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, Router
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import JsonRenderPlugin, OpenAPIRenderPlugin
from litestar.static_files import create_static_files_router
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped]

from benchwire.web.described import document
from benchwire.web.errors import answer

_HERE = Path(__file__).parent
_PAGE = (_HERE / "page.html").read_text()


class DocumentPlugin(JsonRenderPlugin):
    """``/schema/openapi.json``, with what Litestar does not know of the routes."""

    def __init__(self, open_paths: Collection[str]) -> None:
        super().__init__()
        self._open_paths = open_paths
        self._body: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The document, made once."""
        if self._body is None:
            self._body = msgspec.json.encode(document(request.app, self._open_paths))
        return self._body


class ExplorerPlugin(OpenAPIRenderPlugin):
    """``/schema``: Swagger UI from this machine."""

    def __init__(self, title: str) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)
        self._page = _PAGE.replace("{title}", escape(title)).encode()

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        return self._page


def files() -> Router:
    """Swagger UI's files, and ours that start it."""
    return create_static_files_router(
        path="/schema/ui",
        directories=[_HERE, Path(str(swagger_ui_path))],
        include_in_schema=False,
        name="explorer",
        exception_handlers={ValueError: _no_name_of_a_file},
    )


def _no_name_of_a_file(request: Request[Any, Any, Any], _: Exception) -> Response[Any]:
    """What the file system takes for no name, like one with a null in it, is the name of nothing."""
    return answer(request, NotFoundException(), {})
