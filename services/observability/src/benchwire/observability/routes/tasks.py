"""Tasks: started, watched, steered, cancelled."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from litestar import delete, get, post
from litestar.params import JSONBody
from litestar.response import Stream
from sqlite_utils import Database

from benchwire.events.event import token
from benchwire.observability import commands, errors, logs, queries
from benchwire.observability.firmware import starting
from benchwire.observability.lab import Lab
from benchwire.observability.queries import TaskView
from benchwire.observability.routes.calls import made_id, socket_of
from benchwire.observability.routes.params import AnyRequest, Id, TheLab
from benchwire.observability.session import iso
from benchwire.observability.stopping import ending
from benchwire.observability.task import Task
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire import tasks as wire
from benchwire.observability.wire.requests import Guide, StartTask
from benchwire.web.described import described
from benchwire.web.tokens import Scope


async def known(lab: Lab, task_id: str) -> TaskView:
    """The task of that id. Raises ``TaskUnknown``."""
    token(task_id, "task_id")
    return await lab.found(lambda db: queries.task(db, task_id), errors.TaskUnknown(task_id))


@post("/tasks", status_code=200, opt=described(example=examples.TASK))
async def start_task(lab: TheLab, request: AnyRequest, data: JSONBody[StartTask]) -> wire.TaskStarted:
    """Asks the agent runners for firmware, or for code. Repeated with the same ``Idempotency-Key`` it is the same task."""
    task_id = made_id("task-", request)
    await starting.started(lab, data, task_id)
    return wire.TaskStarted(task_id, "started", socket_of(request, task_id))


@get("/tasks", opt=described(answers=answers.Tasks))
async def list_tasks(lab: TheLab) -> dict[str, Any]:
    """The newest tasks."""
    return {"tasks": [wire.summary(one) for one in await lab.read(queries.tasks)]}


@get("/tasks/{task_id:str}", opt=described(answers=answers.TaskSummary))
async def get_task(lab: TheLab, task_id: Id) -> dict[str, Any]:
    """How far a task is."""
    return wire.summary(await known(lab, task_id))


@get("/tasks/{task_id:str}/results", opt=described(answers=answers.TaskResults))
async def get_results(lab: TheLab, task_id: Id) -> dict[str, Any]:
    """What a task made."""
    view = await known(lab, task_id)
    return wire.results(view, await lab.read(lambda db: queries.iterations(db, task_id)))


@get("/tasks/{task_id:str}/logs", opt=described(answers=answers.TaskLogs))
async def get_logs(lab: TheLab, task_id: Id) -> dict[str, Any]:
    """What was logged until now."""
    await known(lab, task_id)
    said = await logs.so_far(lab, task_id)
    return {"task_id": task_id, "logs": [{"timestamp": iso(line.at), "line": line.text} for line in said]}


@get("/tasks/{task_id:str}/logs/stream", opt=described(answers={"type": "string"}, sends="text/event-stream"))
async def stream_logs(lab: TheLab, task_id: Id) -> Stream:
    """The log as ``text/event-stream``, from its beginning to the end of the task."""
    await known(lab, task_id)

    async def told() -> AsyncGenerator[str, None]:
        async with aclosing(logs.lines(lab, task_id)) as lines:
            async for line in lines:
                yield f"data: {line.text}\n\n"

    return Stream(told(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _cancel(lab: Lab, task_id: str) -> dict[str, Any]:
    token(task_id, "task_id")
    after = await ending.cancel_task(lab, task_id)
    return {"task_id": task_id, "status": after.status, "success": True, "message": wire.end_in_words(after)}


@post(
    "/tasks/{task_id:str}/cancel",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.TaskCancelled, refuses=(409,)),
)
async def cancel_task(lab: TheLab, task_id: Id) -> dict[str, Any]:
    """Ends a task, and says what came of it within a few seconds."""
    return await _cancel(lab, task_id)


@delete(
    "/tasks/{task_id:str}",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.TaskCancelled, refuses=(409,)),
)
async def delete_task(lab: TheLab, task_id: Id) -> dict[str, Any]:
    """Cancels a task, as ``/cancel`` does; what it did stays in the log."""
    return await _cancel(lab, task_id)


async def guide(lab: Lab, task_id: str, asked: Guide) -> None:
    """Writes guidance down for the next generation."""

    def find(db: Database) -> tuple[Task | None, list[str]]:
        view = queries.task(db, task_id)
        return queries.life_of_task(db, task_id), [] if view is None else [node["node_id"] for node in view.nodes]

    found, nodes = await lab.read(find)
    await lab.write(commands.guide_task(found, nodes, task_id, asked, lab.now()))


@post(
    "/tasks/{task_id:str}/intervene",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.GUIDANCE, answers=answers.GuidanceAccepted, refuses=(409,)),
)
async def intervene(lab: TheLab, task_id: Id, data: JSONBody[Guide]) -> dict[str, Any]:
    """Gives guidance for the next generation."""
    token(task_id, "task_id")
    await guide(lab, task_id, data)
    return {"task_id": task_id, "status": "accepted", "success": True}


ROUTES = [start_task, list_tasks, get_task, get_results, get_logs, stream_logs, cancel_task, delete_task, intervene]
