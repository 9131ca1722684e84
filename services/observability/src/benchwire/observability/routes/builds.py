"""Firmware from plain words to a simulated image, step by step: the same tasks as ``/tasks`` has, in the words of another kind of client."""

import asyncio
from typing import Any

from litestar import get, post
from litestar.params import JSONBody
from sqlite_utils import Database

from benchwire.events.asks import BoardsListed, DesignSystem
from benchwire.events.event import token
from benchwire.observability import commands, errors, queries
from benchwire.observability.boards import assigning
from benchwire.observability.firmware import asking, starting
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row, TaskView
from benchwire.observability.routes.calls import made_id, socket_of
from benchwire.observability.routes.params import AnyRequest, Id, TheLab
from benchwire.observability.stopping import ending
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire import builds as wire
from benchwire.observability.wire.tasks import end_in_words
from benchwire.web.described import described
from benchwire.web.tokens import Scope


async def _known(lab: Lab, session_id: str) -> tuple[TaskView, list[Row]]:
    """The build of that id, which is a task for firmware, and its iterations. Raises ``TaskUnknown``."""
    token(session_id, "session_id")

    def find(db: Database) -> tuple[TaskView, list[Row]] | None:
        view = queries.task(db, session_id)
        is_build = view is not None and view.task["kind"] == commands.FIRMWARE
        return (view, queries.iterations(db, session_id)) if view is not None and is_build else None

    return await lab.found(find, errors.TaskUnknown(session_id))


@get("/api/boards", opt=described(answers=answers.Boards))
async def list_boards(lab: TheLab) -> dict[str, Any]:
    """Kinds of boards, and what the agent runner that answers can do for each; what is missing is told with the package that brings it."""
    listed = await lab.runners.boards()
    if isinstance(listed, BoardsListed):
        return {"boards": [wire.ability_view(one) for one in listed.boards], "runner": listed.runner, "detail": None}
    told = [wire.ability_view(one) for one in await asyncio.to_thread(asking.known_boards)]
    return {"boards": told, "runner": None, "detail": asking.NO_RUNNER}


@post(
    "/api/design/parse",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.DESIGN, answers=answers.Design),
)
async def parse_design(lab: TheLab, data: JSONBody[wire.ParseDesign]) -> dict[str, Any]:
    """Has an agent runner's model design a system from plain words: its nodes, their boards and assertions. Nothing is built.

    That takes as long as the model takes, two minutes at most.
    """
    board = None if data.board_id is None else commands.simulated_board(data.board_id, "board_id")
    designed = await lab.runners.design(DesignSystem(prompt=data.prompt, board=board, answers=data.answers))
    return wire.design_view(designed)


@post(
    "/api/build/start",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.BUILD, answers=wire.Started),
)
async def start_build(lab: TheLab, request: AnyRequest, data: JSONBody[wire.StartBuild]) -> wire.Started:
    """Has the nodes of a system written, compiled and simulated, each until it passes or its iterations are spent."""
    build_id = made_id("build-", request)
    try:
        await starting.started(lab, wire.task_of(data), build_id)
    except errors.Unusable as error:
        raise wire.in_words_of_builds(error) from None
    return wire.Started(session_id=build_id, status="started", websocket_url=socket_of(request, build_id))


async def _status(lab: Lab, session_id: str) -> dict[str, Any]:
    view, iterations = await _known(lab, session_id)
    return wire.build_view(view, iterations, await assigning.boards(lab, view))


@get("/api/build/{session_id:str}/status", opt=described(answers=answers.BuildStatus))
async def get_build(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """How far each node of a build is, and what came of every iteration."""
    return await _status(lab, session_id)


async def _stopped(lab: Lab, session_id: str) -> dict[str, Any]:
    await _known(lab, session_id)
    after = await ending.cancel_task(lab, session_id)
    return {"session_id": session_id, "status": after.status, "success": True, "message": end_in_words(after)}


@post(
    "/api/build/{session_id:str}/stop",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.BuildStopped, refuses=(409,)),
)
async def stop_build(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """Ends a build, and says what came of it within a few seconds."""
    return await _stopped(lab, session_id)


@post(
    "/api/simulate/start",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.SIMULATE, answers=wire.Started, refuses=(404,)),
)
async def start_simulation(lab: TheLab, request: AnyRequest, data: JSONBody[wire.StartSimulation]) -> wire.Started:
    """Simulates again what a build, or one node of it, made last: the same sources and assertions, without a model."""
    of = data.session_id or data.task_id
    if not of:
        raise errors.Unusable("session_id: say which build is to be simulated")
    view, iterations = await _known(lab, of)
    simulation_id = made_id("simulation-", request)
    await starting.started(lab, wire.task_again(view, iterations, data), simulation_id)
    return wire.Started(session_id=simulation_id, status="started", websocket_url=socket_of(request, simulation_id))


@get("/api/simulate/{session_id:str}/status", opt=described(answers=answers.BuildStatus))
async def get_simulation(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """How far a simulation is, as ``/api/build/{session_id}/status`` tells it."""
    return await _status(lab, session_id)


@post(
    "/api/simulate/{session_id:str}/stop",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.BuildStopped, refuses=(409,)),
)
async def stop_simulation(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """Ends a simulation, and says what came of it within a few seconds."""
    return await _stopped(lab, session_id)


ROUTES = [
    list_boards, parse_design, start_build, get_build, stop_build, start_simulation, get_simulation, stop_simulation,
]  # fmt: skip
