"""Whether this service can do its work, and what there is to call."""

from typing import Any

from litestar import Response, get

from benchwire.observability.lab import Lab
from benchwire.observability.routes.params import TheLab
from benchwire.observability.settings import VERSION
from benchwire.web.errors import RETRY_AFTER_S

_FAR_BEHIND = 10_000


@get("/health")
async def health(lab: TheLab) -> Response[dict[str, Any]]:
    """200 with ``healthy``, or 503 with the reason."""
    state = lab.projection.state
    told: dict[str, Any] = {
        "status": "healthy",
        "service": "observability",
        "version": VERSION,
        "nats": "connected" if lab.bus.connected else "gone",
        "projection": {
            "applied": state.applied, "behind": state.behind, "unknown": state.unknown, "malformed": state.malformed
        },
        "clients": lab.feed.clients,
        "warnings": _warnings(lab),
    }  # fmt: skip
    reason = _trouble(lab)
    if reason is None:
        return Response(told, status_code=200)
    told |= {"status": "unhealthy", "detail": reason, "status_code": 503}
    return Response(told, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})


def _trouble(lab: Lab) -> str | None:
    state = lab.projection.state
    if not lab.bus.connected:
        return "NATS is gone; what is here can be read, nothing can be written"
    if state.trouble is not None:
        return f"the projection cannot go on: {state.trouble}"
    if state.behind > _FAR_BEHIND:
        return f"the projection is {state.behind} events behind"
    return None


def _warnings(lab: Lab) -> list[str]:
    state = lab.projection.state
    parked = []
    if state.malformed:
        parked.append(f"{state.malformed} events could not be read or applied, and are parked")
    if state.unknown:
        parked.append(f"{state.unknown} events are of a type or version that this service does not know")
    return parked


@get("/", media_type="text/plain")
async def index() -> str:
    """What there is to call."""
    return """Benchwire observability

GET    /health
POST   /events                         a hook, an array of hooks, or application/x-ndjson
GET    /events/{session}               also /sessions/{session}/events?after=&limit=&event_type=
GET    /sessions                       ?limit=&cursor=&status=&agent_name=&q=
POST   /sessions                       with a prompt an agent runner takes it
GET    /sessions/{session}             /status  /result
POST   /sessions/{session}/stop
PATCH  /sessions/{session}/metadata
DELETE /sessions/{session}
POST   /tasks                          firmware for one board or more
GET    /tasks  /tasks/{task}  /tasks/{task}/results
GET    /tasks/{task}/logs              /logs/stream is text/event-stream
POST   /tasks/{task}/cancel            /tasks/{task}/intervene
GET    /api/devices  /api/hosts  /api/flash/jobs  /api/flash/jobs/{job}
POST   /api/flash/start                /api/flash/jobs/{job}/pause, resume, cancel
WS     /ws                             sessions and their events
WS     /ws/{task}                      one task
WS     /flash-progress                 also /flash-progress/{job}
WS     /ws/serial                      what boards print
GET    /schema/openapi.json
"""


ROUTES = [health, index]
