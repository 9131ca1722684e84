"""Leases: having a board for oneself."""

from typing import Any

from litestar import Response, delete, get, post
from litestar.params import JSONBody

from benchwire.observability import commands, queries
from benchwire.observability.boards import leasing
from benchwire.observability.routes.calls import leaving, made_id
from benchwire.observability.routes.params import AnyRequest, Id, InState, Limit, Text, TheLab, Wait
from benchwire.observability.session import iso
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire.leasing import AskLease, RenewLease, lease_view
from benchwire.web.described import described
from benchwire.web.tokens import Scope


@post(
    "/api/leases",
    opt=described(scope=Scope.CONTROL, example=examples.LEASE, answers=answers.OneLease, refuses=(404, 409)),
)
async def ask_lease(lab: TheLab, request: AnyRequest, data: JSONBody[AskLease]) -> Response[dict[str, Any]]:
    """Asks for a board, by name or by what it has to be like, and waits in the queue for it.

    201 when it is held; 202 when the call has waited for ``wait_s`` and the request stays in the queue (``patience_s``); 409 when no board
    came free in time. A client that goes away while it waits has left the queue, unless its patience is longer than the call. Repeated with the
    same ``Idempotency-Key`` it is the same request.
    """
    lease_id = made_id("lease_", request)
    async with leaving(request) as left:
        found = await leasing.asked(lab, data, lease_id, event_id=f"{lease_id}-requested", left=left)
    return Response({"lease": lease_view(found)}, status_code=202 if found.state == queries.WAITING else 201)


@get("/api/leases", opt=described(answers=answers.Leases))
async def list_leases(
    lab: TheLab, *, in_state: InState = None, holder: Text = None, device_id: Text = None, limit: Limit = None
) -> dict[str, Any]:
    """Leases and requests for them, newest first."""
    now = iso(lab.now())
    found = await lab.read(
        lambda db: queries.leases(db, now, state=in_state, holder=holder, device=device_id, limit=limit or 100)
    )
    return {"leases": [lease_view(one) for one in found]}


@get("/api/leases/{lease_id:str}", opt=described(answers=answers.OneLease))
async def get_lease(lab: TheLab, request: AnyRequest, lease_id: Id, wait_s: Wait = 0.0) -> dict[str, Any]:
    """One lease; with ``wait_s`` as soon as it no longer waits."""
    async with leaving(request) as left:
        return {"lease": lease_view(await leasing.waited(lab, lease_id, wait_s, left=left))}


@post(
    "/api/leases/{lease_id:str}/renew",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.RENEWAL, answers=answers.OneLease, refuses=(409,)),
)
async def renew_lease(lab: TheLab, lease_id: Id, data: JSONBody[RenewLease | None] = None) -> dict[str, Any]:
    """Holds a board for longer: ``for_s`` from now on, if that is later than until now."""
    return {"lease": lease_view(await leasing.renewed(lab, lease_id, (data or RenewLease()).for_s))}


@delete("/api/leases/{lease_id:str}", status_code=200, opt=described(scope=Scope.CONTROL, answers=answers.OneLease))
async def end_lease(lab: TheLab, lease_id: Id) -> dict[str, Any]:
    """Gives a board back, or leaves the queue; one that has ended stays as it is."""
    return {"lease": lease_view(await leasing.ended(lab, lease_id, commands.GIVEN_BACK))}


ROUTES = [ask_lease, list_leases, get_lease, renew_lease, end_lease]
