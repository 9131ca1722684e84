"""Where calls of tools go: to which lab, and with whose token."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ToolError

from benchwire.client import Damaged, Documents, Lab, NoBoard, NoLab, Refused
from benchwire.client.patience import is_away

T = TypeVar("T")

_SAYABLE = (NoLab, Refused, NoBoard, Damaged)


class Addresses(NamedTuple):
    """Where the two services are; ``documents`` is empty when nobody has said where those of this lab are."""

    lab: str
    documents: str


class Away(ToolError):
    """The lab does not answer, or cannot now; it may in a moment, as when it restarts."""


class Reach(NamedTuple):
    """``where`` is asked with each call, because a lab may have moved since; ``token`` None passes on the one that the caller sent."""

    where: Callable[[], Addresses]
    token: str | None = None


class Reached(NamedTuple):
    """What a running server has. A call that waits has a thread of its own, and there are so many of them as ``seats`` says."""

    reach: Reach
    seats: anyio.CapacityLimiter


Ctx: TypeAlias = Context[Reached, Any]


async def of_lab(ctx: Ctx, ask: Callable[[Lab], T]) -> T:
    """What ``ask`` gets from the lab. Raises ``ToolError`` with the lab's own sentence."""
    try:
        return await _in_thread(ctx, partial(_asked, _reach(ctx), _token(ctx), ask))
    except _SAYABLE as error:
        raise _told(error) from error


async def of_documents(ctx: Ctx, ask: Callable[[Documents], T]) -> T:
    """What ``ask`` gets from the document store. Raises ``ToolError`` with the store's own sentence."""
    try:
        return await _in_thread(ctx, partial(_looked_up, _reach(ctx), _token(ctx), ask))
    except _SAYABLE as error:
        raise _told(error) from error


async def as_resource(asked: Awaitable[T]) -> T:
    """What ``asked`` gives, for a resource: they have an error of their own. Raises ``ResourceError``."""
    try:
        return await asked
    except ToolError as error:
        raise ResourceError(str(error)) from error


async def _in_thread(ctx: Ctx, call: Callable[[], T]) -> T:
    # A client that has lost its patience is let go at once; the call that nobody waits for ends in its thread.
    seats = ctx.request_context.lifespan_context.seats
    return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=seats)


def _told(error: Exception) -> ToolError:
    return Away(str(error)) if is_away(error) else ToolError(str(error))


def _asked(reach: Reach, token: str, ask: Callable[[Lab], T]) -> T:
    with Lab(reach.where().lab, token) as lab:
        return ask(lab)


def _looked_up(reach: Reach, token: str, ask: Callable[[Documents], T]) -> T:
    address = reach.where().documents
    if not address:  # the store of another lab would be taken for this one's
        raise ToolError("where this lab's documents are was not said: --documents-url, or BENCHWIRE_DOCUMENTS_URL")
    with Documents(address, token) as documents:
        return ask(documents)


def _reach(ctx: Ctx) -> Reach:
    return ctx.request_context.lifespan_context.reach


def _token(ctx: Ctx) -> str:
    reach = _reach(ctx)
    if reach.token is not None:
        return reach.token
    scheme, _, token = (ctx.headers or {}).get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
