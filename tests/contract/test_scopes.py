"""What each route wants of a token. A new route fails here until somebody has thought about it and written it down."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from litestar import Litestar
from litestar.exceptions import WebSocketDisconnect
from litestar.routes import HTTPRoute, WebSocketRoute
from litestar.testing import TestClient

from benchwire.documents import app as documents
from benchwire.documents.settings import Settings as DocumentsSettings
from benchwire.events.settings import Secret
from benchwire.observability import app as observability
from benchwire.observability.settings import Settings as ObservabilitySettings
from benchwire.web.access import OPEN_PATHS, Guard
from benchwire.web.callers import Caller, Callers
from benchwire.web.scopes import needed
from benchwire.web.tokens import Scope

_OF_BOTH = {
    "open": """
        GET /health
        GET /schema
        GET /schema/ui/{file_path}
        HEAD /schema/ui/{file_path}
    """,
    "read": """
        GET /metrics
        GET /schema/openapi.json
        GET /schema/{path}
    """,
}

OBSERVABILITY = {
    "open": """
        GET /
        GET /page/settings.json
        GET /page/{name}
    """,
    "read": """
        GET /agents
        GET /agents/{name}
        GET /api/boards
        GET /api/build/{session_id}/status
        GET /api/captures/{capture_id}
        GET /api/deploy/devices
        GET /api/devices
        GET /api/devices/{device_id}
        GET /api/devices/{device_id}/serial
        GET /api/flash/analytics
        GET /api/flash/history
        GET /api/flash/jobs
        GET /api/flash/jobs/{job_id}
        GET /api/hosts
        GET /api/leases
        GET /api/leases/{lease_id}
        GET /api/simulate/{session_id}/status
        GET /approvals
        GET /asyncapi.json
        GET /events
        GET /events/{session_id}
        GET /routes
        GET /sessions
        GET /sessions/{session_id}
        GET /sessions/{session_id}/approvals
        GET /sessions/{session_id}/events
        GET /sessions/{session_id}/export
        GET /sessions/{session_id}/result
        GET /sessions/{session_id}/status
        GET /sessions/{session_id}/stream
        GET /sessions/{session_id}/usage
        GET /tasks
        GET /tasks/{task_id}
        GET /tasks/{task_id}/logs
        GET /tasks/{task_id}/logs/stream
        GET /tasks/{task_id}/results
        GET /usage
        WS /flash-progress
        WS /flash-progress/{job_id}
        WS /ws
        WS /ws/flash-progress
        WS /ws/flash-progress/{job_id}
        WS /ws/serial
        WS /ws/serial/{device_id}
        WS /ws/{task_id}
    """,
    "write": """
        PATCH /agents/{name}
        PATCH /agents/{name}/status
        PATCH /sessions/{session_id}/metadata
        POST /agents
        POST /events
        POST /sessions
        POST /sessions/{session_id}
        POST /sessions/{session_id}/events
        POST /sessions/{session_id}/fork
        POST /tasks
    """,
    "control": """
        DELETE /agents/{name}
        DELETE /api/deploy/{session_id}/assign/{port}
        DELETE /api/leases/{lease_id}
        DELETE /sessions/{session_id}
        DELETE /tasks/{task_id}
        POST /api/build/start
        POST /api/build/{session_id}/stop
        POST /api/deploy/{session_id}/assign/{port}
        POST /api/deploy/flash
        POST /api/deploy/flash-all
        POST /api/captures/{capture_id}/stop
        POST /api/design/parse
        POST /api/devices/{device_id}/captures
        POST /api/devices/{device_id}/identify
        POST /api/devices/{device_id}/power
        POST /api/devices/{device_id}/reset
        POST /api/devices/{device_id}/serial
        POST /api/flash/jobs/{job_id}/throttle
        POST /api/flash/jobs/{job_id}/{wish}
        POST /api/flash/start
        POST /api/leases
        POST /api/leases/{lease_id}/renew
        POST /api/simulate/start
        POST /api/simulate/{session_id}/stop
        POST /sessions/{session_id}/approvals/{tool_use_id}
        POST /sessions/{session_id}/messages
        POST /sessions/{session_id}/stop
        POST /tasks/{task_id}/cancel
        POST /tasks/{task_id}/intervene
    """,
}

DOCUMENTS = {
    "open": "",
    "read": """
        GET /artifacts/{digest}
        GET /artifacts/{digest}/links
        GET /documents
        GET /documents/tags
        GET /documents/{document_id}
        GET /documents/{document_id}/metadata
        GET /links
        WS /ws
    """,
    "write": """
        DELETE /documents/{document_id}/links/{kind}/{to}
        PATCH /documents/{document_id}
        POST /documents
        POST /documents/bulk
        POST /documents/{document_id}/links
    """,
    "control": """
        DELETE /documents/{document_id}
    """,
}


def rows(table: dict[str, str]) -> dict[str, str]:
    """Each route, and what it wants."""
    written = {}
    for wanted in ("open", *Scope):
        for line in f"{table.get(wanted, '')}\n{_OF_BOTH.get(wanted, '')}".splitlines():
            if line.strip():
                written[line.strip()] = str(wanted)
    return written


def there(app: Litestar, open_paths: frozenset[str]) -> dict[str, str]:
    """The same, as the app has it."""
    found = {}
    for route in app.routes:
        path = route.path_format or "/"
        is_open = path in open_paths or any(
            path.startswith(one) for one in open_paths if one.endswith("/") and one != "/"
        )
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS":
                    found[f"{method} {path}"] = "open" if is_open else str(needed(handler))
        else:
            assert isinstance(route, WebSocketRoute)
            found[f"WS {path}"] = str(needed(route.route_handler))
    return found


# What stands behind the routes is never reached here: whoever may not call gets no further than the edge.
_NOBODY: Any = SimpleNamespace(metrics=None)


def observed() -> tuple[Litestar, frozenset[str]]:
    app = observability.app(_NOBODY, _NOBODY, _NOBODY, ObservabilitySettings(), Callers())
    return app, observability.OPEN


def stored() -> tuple[Litestar, frozenset[str]]:
    app = documents.made(_NOBODY, _NOBODY, _NOBODY, DocumentsSettings(), Callers(), version="0")
    return app, OPEN_PATHS


SERVICES = [pytest.param(observed, OBSERVABILITY, id="observability"), pytest.param(stored, DOCUMENTS, id="documents")]


@pytest.mark.parametrize(("made", "table"), SERVICES)
def test_every_route_wants_what_is_written_down_for_it(made: Any, table: dict[str, str]) -> None:
    assert there(*made()) == rows(table)


class OnlyOne(Callers):
    """Knows one caller, who has one scope."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(token=Secret("known"))
        self._caller = Caller(str(scope), frozenset({scope}))

    def find(self, given: str) -> Caller | None:
        return self._caller if given == "known" else None


@pytest.mark.parametrize(("made", "table"), SERVICES)
def test_who_has_no_token_or_the_wrong_scope_gets_no_further_than_the_edge(made: Any, table: dict[str, str]) -> None:
    app, open_paths = made()
    for scope in (Scope.WRITE, Scope.CONTROL):
        guard: Any = Guard(app, callers=OnlyOne(scope), open_paths=open_paths)
        with TestClient(guard, base_url="http://127.0.0.1") as client:
            for route, wanted in rows(table).items():
                method, path = re.sub(r"\{\w+\}", "x", route).split()
                if method == "WS":
                    assert closed(client, path) == 1008, route
                elif wanted != "open":
                    assert client.request(method, path).status_code == 401, route
                    if wanted not in ("read", str(scope)):
                        told = client.request(method, path, headers={"Authorization": "Bearer known"})
                        assert (told.status_code, wanted in told.json()["detail"]) == (403, True), route


def closed(client: TestClient[Any], path: str) -> int:
    with client.websocket_connect(path) as socket, pytest.raises(WebSocketDisconnect) as end:
        socket.receive_text()
    return end.value.code
