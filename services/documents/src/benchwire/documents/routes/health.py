"""Whether this service can do its work."""

from litestar import Response, get
from litestar.di import NamedDependency

from benchwire.documents import wire
from benchwire.documents.store import Store
from benchwire.web.callers import Callers


@get("/health")
async def health(store: NamedDependency[Store], callers: NamedDependency[Callers]) -> Response[wire.Health]:
    """Whether documents can be read and written."""
    state = store.projection.state
    there = await store.bus.answers()
    trouble = state.trouble or (
        None if there else "NATS does not answer; what is kept here can be read, nothing can be written"
    )
    found = wire.Health(
        status="unhealthy" if trouble else "degraded" if state.malformed or state.lacking else "healthy",
        service="documents",
        applied=state.applied,
        behind=state.behind,
        unknown=state.unknown,
        malformed=state.malformed,
        detail=trouble or state.lacking or (f"{state.malformed} events could not be read" if state.malformed else None),
        warnings=callers.warnings,
    )
    return Response(found, status_code=503 if trouble else 200, headers={"Retry-After": "2"} if trouble else {})


ROUTES = [health]
