"""Around a whole app, guard included: each HTTP call is counted and timed, and belongs to the trace that it came with.

WebSockets pass; their frames are counted by ``feed``. At level DEBUG each call is a line in the log of the service, without its query: hooks
come by the thousand a second, so that is off by default.
"""

import logging
import time
from typing import cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.trace import Span, StatusCode
from prometheus_client import Counter, Histogram

from benchwire.events import tracing
from benchwire.web.metrics import Metrics

log = logging.getLogger(__name__)

UNMATCHED = "unmatched"
_OTHER = "other"
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TRACE_HEADERS = {name.encode(): name for name in (tracing.TRACEPARENT, tracing.TRACESTATE)}


class Observed:
    """An ASGI app around ``app``."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._requests = metrics.counter(
            "http_requests", "HTTP calls that were answered.", ("route", "method", "status")
        )
        self._seconds = metrics.histogram(
            "http_request_duration_seconds",
            "Until the answer to a call began.",
            ("route", "method"),
            buckets=_BUCKETS_S,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the call on."""
        if str(scope["type"]) != "http":
            await self._app(scope, receive, send)
            return
        call = cast("HTTPScope", scope)
        carrier = _carrier(call)
        if carrier or tracing.is_exporting() or tracing.is_under_way():
            with tracing.answering(call["method"], carrier) as span:
                status = await self._counted(call, receive, send)
                if span.is_recording():
                    _describe(span, call, status)
        else:
            await self._counted(call, receive, send)

    async def _counted(self, scope: HTTPScope, receive: Receive, send: Send) -> int:
        """The status of the answer; 0 when there was none."""
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._count(scope, status, time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, sending)
        return status

    def _count(self, scope: HTTPScope, status: int, duration_s: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        key = _route(scope), method, status
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._children(*key)
        requests, seconds = known
        requests.inc()
        seconds.observe(duration_s)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s %d in %.1f ms", scope["method"], scope["path"], status, duration_s * 1000)

    def _children(self, route: str, method: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(route, method, str(status)), self._seconds.labels(route, method)


def _route(scope: HTTPScope) -> str:
    """The template of the path, as the router has left it; a path that has none could be anything, and must not become a label."""
    return scope.get("path_template") or UNMATCHED


def _carrier(scope: HTTPScope) -> dict[str, str] | None:
    found = None
    for name, value in scope["headers"]:
        if name in _TRACE_HEADERS:
            found = found or {}
            found[_TRACE_HEADERS[name]] = value.decode("latin-1")
    return found


def _describe(span: Span, scope: HTTPScope, status: int) -> None:
    route = _route(scope)
    span.update_name(f"{scope['method']} {route}")
    span.set_attributes({"http.request.method": scope["method"], "http.route": route, "url.path": scope["path"]})
    if status:
        span.set_attribute("http.response.status_code", status)
    if not status or status >= 500:
        span.set_status(StatusCode.ERROR)
