"""Whether this service can do its work."""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from benchwire.observability.lab import Lab
from benchwire.observability.routes.params import TheLab
from benchwire.observability.settings import VERSION
from benchwire.observability.wire import answers
from benchwire.web.callers import Callers
from benchwire.web.described import described
from benchwire.web.errors import RETRY_AFTER_S

_FAR_BEHIND = 10_000


@get("/health", opt=described(answers=answers.Health))
async def health(lab: TheLab, callers: NamedDependency[Callers]) -> Response[dict[str, Any]]:
    """Whether this service can do its work: 200 with ``healthy``, or 503 with the reason."""
    state = lab.projection.state
    there = await lab.bus.answers()
    told: dict[str, Any] = {
        "status": "healthy",
        "service": "observability",
        "version": VERSION,
        "nats": "connected" if there else "gone",
        "projection": {
            "applied": state.applied, "behind": state.behind, "unknown": state.unknown, "malformed": state.malformed
        },
        "clients": lab.feed.clients,
        "warnings": [*_warnings(lab), *(await lab.present.lacking() if there else ()), *callers.warnings],
    }  # fmt: skip
    reason = _trouble(lab, there=there)
    if reason is None:
        return Response(told, status_code=200)
    told |= {"status": "unhealthy", "detail": reason, "status_code": 503}
    return Response(told, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})


def _trouble(lab: Lab, *, there: bool) -> str | None:
    state = lab.projection.state
    if not there:
        return "NATS does not answer; what is here can be read, nothing can be written"
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
    if state.lacking:
        parked.append(state.lacking)
    search = lab.search.state
    if search.lacking:
        parked.append(f"search: {search.lacking}")
    if search.trouble is not None:
        parked.append(f"the search cannot go on: {search.trouble}")
    if search.malformed > state.malformed:
        parked.append(
            f"{search.malformed - state.malformed} events are not in the search: they could not be applied there"
        )
    return parked


ROUTES = [health]
