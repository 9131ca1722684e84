"""What a task made, put onto boards."""

from typing import Any

from litestar import delete, post
from litestar.params import JSONBody

from benchwire.observability.boards import assigning, deploying
from benchwire.observability.lab import Lab
from benchwire.observability.routes.params import Id, Text, TheLab
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire.builds import board_view
from benchwire.observability.wire.flashing import AssignNode, DeployNode, DeployTask
from benchwire.web.described import described
from benchwire.web.tokens import Scope


@post(
    "/api/deploy/flash",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.DEPLOY, answers=answers.Deployed, refuses=(404, 409)),
)
async def deploy_node(lab: TheLab, data: JSONBody[DeployNode]) -> dict[str, Any]:
    """Flashes the image that a node stored. It goes onto the board on that ``port``, the one that was assigned to it, or a free one of its kind."""
    begun = deploying.operation(await deploying.deployed(lab, data), data.node_id)
    return {**{name: begun[name] for name in ("jobId", "status", "deviceId", "host")}, "operations": [begun]}


@post(
    "/api/deploy/flash-all",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.DEPLOY_ALL, answers=answers.Operations, refuses=(404, 409)),
)
async def deploy_task(lab: TheLab, data: JSONBody[DeployTask]) -> dict[str, Any]:
    """Flashes every node of a task that has ended onto its board, or one of its kind that is free.

    There is one operation for each node, with its job or error.
    """
    return {"operations": await deploying.all_deployed(lab, data.task_id or data.session_id)}


async def _assignments(lab: Lab, task_id: str) -> dict[str, Any]:
    view = await deploying.known(lab, task_id)
    found = await assigning.boards(lab, view)
    shown = [{"node_id": node_id, **board_view(row)} for node_id, row in sorted(found.items())]
    return {"session_id": task_id, "assignments": shown}


@post(
    "/api/deploy/{session_id:str}/assign/{port:path}",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.ASSIGN, answers=answers.Assignments, refuses=(409,)),
)
async def assign_board(
    lab: TheLab, session_id: Id, port: Id, data: JSONBody[AssignNode | None] = None
) -> dict[str, Any]:
    """Says that a node of a build is for the board on that port, or of that name: what deploys it takes that one, and no other.

    A board is for one node of a build (409). Who wants to keep it from others until then takes a lease.
    """
    asked = data or AssignNode()
    view = await deploying.known(lab, session_id)
    await assigning.assign(lab, view, asked.node_id, port, asked.host)
    return await _assignments(lab, session_id)


@delete(
    "/api/deploy/{session_id:str}/assign/{port:path}",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.Assignments),
)
async def unassign_board(lab: TheLab, session_id: Id, port: Id, host: Text = None) -> dict[str, Any]:
    """Takes the board back from whichever node of the build has it, which is for any of its kind then."""
    view = await deploying.known(lab, session_id)
    await assigning.unassign(lab, view, port, host)
    return await _assignments(lab, session_id)


ROUTES = [deploy_node, deploy_task, assign_board, unassign_board]
