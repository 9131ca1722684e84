"""The server over HTTP, guarded as the lab's services are."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import cast

from litestar.types import ASGIApp

from benchwire.deploy.settings import Settings
from benchwire.mcp import http, server
from benchwire.mcp.reach import Addresses, Reach
from benchwire.web import access
from benchwire.web.callers import Callers
from benchwire.web.serve import serve
from benchwire.web.settings import WebSettings

log = logging.getLogger(__name__)


async def served(
    where: Callable[[], Addresses],
    settings: Settings,
    *,
    host: str,
    port: int,
    names: Iterable[str] = (),
    on_ready: Callable[[int], None] = lambda _: None,
) -> None:
    """Serves until it is cancelled. ``names`` are hosts that calls may name beside loopback and ``host``; ``on_ready`` is told the port.

    Raises ``InvalidSettings`` when ``host`` is not loopback and no token is configured, and ``OSError`` when the port cannot be had.
    """
    logging.getLogger("mcp").setLevel(logging.WARNING)  # it tells of each call
    callers = access.checked(host, await asyncio.to_thread(_callers, settings))
    own = f"[{host}]" if ":" in host else host
    app = http.app(server.made(Reach(where)), names=[*names, own])

    def ready(taken: int) -> None:
        log.info("listening on http://%s:%d%s", own, taken, http.PATH)
        on_ready(taken)

    async with callers.followed():
        guarded = access.Guard(cast("ASGIApp", app), callers=callers, open_paths=())
        await serve(guarded, host=host, port=port, on_ready=ready)


def _callers(settings: Settings) -> Callers:
    """Who may call the lab of this machine may call here."""
    return Callers.configured(
        WebSettings(data=settings.data, token=settings.token or None, tokens_file=settings.tokens_file)
    )
