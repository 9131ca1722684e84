"""What a task made, put onto boards."""

from typing import Any

from litestar import post
from litestar.params import JSONBody

from benchwire.observability.boards import deploying
from benchwire.observability.routes.params import TheLab
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire.flashing import DeployNode, DeployTask
from benchwire.web.described import described
from benchwire.web.tokens import Scope


@post(
    "/api/deploy/flash",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.DEPLOY, answers=answers.Deployed, refuses=(404, 409)),
)
async def deploy_node(lab: TheLab, data: JSONBody[DeployNode]) -> dict[str, Any]:
    """Flashes the image that a node of a task stored onto the board on that ``port``, or onto a free one of its kind."""
    begun = deploying.operation(await deploying.deployed(lab, data), data.node_id)
    return {**{name: begun[name] for name in ("jobId", "status", "deviceId", "host")}, "operations": [begun]}


@post(
    "/api/deploy/flash-all",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.DEPLOY_ALL, answers=answers.Operations, refuses=(404, 409)),
)
async def deploy_task(lab: TheLab, data: JSONBody[DeployTask]) -> dict[str, Any]:
    """Flashes every node of a task that has ended onto a board of its kind that is free; one operation for each node, with its job or error."""
    return {"operations": await deploying.all_deployed(lab, data.task_id or data.session_id)}


ROUTES = [deploy_node, deploy_task]
