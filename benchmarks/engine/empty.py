"""Litestar with one route that does nothing."""

from litestar import Litestar, get, post


@post("/events", status_code=200)
async def post_events() -> dict[str, bool]:
    """Says yes."""
    return {"ok": True}


@get("/health")
async def health() -> dict[str, str]:
    """It is there."""
    return {"status": "healthy"}


def made() -> Litestar:
    """The app; uvicorn calls it."""
    return Litestar([post_events, health], openapi_config=None)
