"""Tasks: firmware and code that the lab's agents make."""

from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from benchwire.client.records import Module, Task
from benchwire.mcp.reach import Ctx, of_lab
from benchwire.mcp.shapes import Ended, Guided, ModuleResult, TaskList, TaskResult, TaskShape, cut
from benchwire.mcp.tools.kinds import TaskId, adds, changes, reads
from benchwire.mcp.waiting import Wait, waited

_SOURCE_CHARS = 60_000  # of all sources of one answer
_SAID_CHARS = 4000
_PROMPT_CHARS, _IN_A_LIST_CHARS = 2000, 200

Iterations = Annotated[int, Field(ge=1, le=20, description="how often each node may be tried")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NodeAssertion(_Asked):
    """What a node's output must show."""

    name: str
    pattern: str = Field("", description="the text or regular expression; for kind order see patterns")
    kind: str = Field("substring", description="substring, regex, absent, order, count or range")
    required: bool = True
    patterns: list[str] = Field([], description="order: texts that appear one after the other")
    min_count: int | None = None
    max_count: int | None = None
    group: str | None = Field(None, description="range: the regex's group, by number or name, that is the number")
    minimum: float | None = None
    maximum: float | None = None
    within_s: float | None = Field(None, description="it has to be shown by so many seconds after the first output")


class FirmwareNode(_Asked):
    """One firmware of a task."""

    node_id: str = Field(description="letters, digits, - and _")
    board: str | None = Field(None, description="its board profile; the task's when absent")
    description: str = Field("", description="what it does")
    assertions: list[NodeAssertion] = []
    sources: dict[str, str] | None = Field(
        None, description="file name to text: built as they are, nothing is generated"
    )
    deploy: bool | None = Field(None, description="whether it is flashed onto a real board in the end")
    expect: str | None = Field(None, description="the text that the real board has to print")
    device: str | None = Field(None, description="the board it is for; any that is free when absent")
    host: str | None = None
    labels: dict[str, str] = {}


class UartLink(_Asked):
    """The UARTs of two nodes are joined in the simulation."""

    a: str
    b: str


async def start_firmware_task(
    ctx: Ctx, *, prompt: str, board: Annotated[str | None, Field(description="the board profile of all nodes")] = None,
    nodes: Annotated[list[FirmwareNode], Field(description="the firmwares; designed from the prompt when absent")] = [],  # noqa: B006 - pydantic copies it
    links: list[UartLink] = [],  # noqa: B006
    deploy: Annotated[bool, Field(description="whether what passes is flashed onto real boards")] = False,
    max_iterations: Iterations = 5,
    simulation_timeout_s: Annotated[float, Field(gt=0, le=300)] = 10.0,
) -> TaskShape:  # fmt: skip
    """Has firmware made from plain words: the lab's agents write it, compile it with the real cross compiler, simulate it, check the assertions,
    and try again with what failed; with deploy it is flashed onto a real board in the end. Returns at once; wait_for_task waits.
    """
    asked = {
        "kind": "firmware", "prompt": prompt, "board": board, "nodes": [one.model_dump(exclude_none=True) for one in nodes],
        "links": [one.model_dump() for one in links], "deploy": deploy, "max_iterations": max_iterations,
        "simulation_timeout_s": simulation_timeout_s,
    }  # fmt: skip
    return _shown(await of_lab(ctx, lambda lab: lab.tasks.start(asked)))


async def start_code_task(
    ctx: Ctx,
    prompt: str,
    quality_target: Annotated[float, Field(ge=0, le=1, description="the score that each module has to reach")] = 0.8,
    max_iterations: Iterations = 5,
) -> TaskShape:
    """Has Python code made from plain words: planned into modules, each written with its tests, run in a sandbox, scored and improved until it
    reaches the quality target. Returns at once; wait_for_task waits.
    """
    asked = {
        "kind": "code",
        "prompt": prompt,
        "quality_target": quality_target,
        "max_iterations": max_iterations,
    }
    return _shown(await of_lab(ctx, lambda lab: lab.tasks.start(asked)))


async def list_tasks(ctx: Ctx, limit: Annotated[int, Field(ge=1, le=100)] = 20) -> TaskList:
    """The newest tasks and how far each is."""
    found = await of_lab(ctx, lambda lab: lab.tasks.newest())
    return TaskList(tasks=[_shown(one, _IN_A_LIST_CHARS) for one in found[:limit]])


async def get_task(ctx: Ctx, task_id: TaskId) -> TaskShape:
    """How far a task is, and each of its nodes."""
    return _shown(await of_lab(ctx, lambda lab: lab.tasks.one(task_id)))


async def wait_for_task(ctx: Ctx, task_id: TaskId, wait_s: Wait = 120.0) -> TaskShape:
    """Waits until a task has ended, or the time is up; how it stands then. Call it again to go on waiting."""
    found = await waited(
        ctx, lambda: of_lab(ctx, lambda lab: lab.tasks.one(task_id)),
        is_over=lambda task: task.is_over, told=_in_words, wait_s=wait_s,
    )  # fmt: skip
    return _shown(found)


async def get_task_results(
    ctx: Ctx,
    task_id: TaskId,
    sources: Annotated[bool, Field(description="whether the source files are shown, too")] = True,
) -> TaskResult:
    """What a task made: of each node the sources, the image, the memory it takes, what the simulation printed and which assertions passed.
    The whole, with every iteration, is the resource benchwire://tasks/{task_id}/results.
    """
    found = await of_lab(ctx, lambda lab: lab.tasks.results(task_id))
    each = _SOURCE_CHARS // max(1, sum(len(one.sources) for one in found.modules))
    return TaskResult.of(found, modules=[_result(one, each if sources else 0) for one in found.modules])


async def cancel_task(ctx: Ctx, task_id: TaskId) -> Ended:
    """Ends a task; what it made so far stays."""
    return Ended.of(await of_lab(ctx, lambda lab: lab.tasks.cancel(task_id)), id=task_id)


async def guide_task(
    ctx: Ctx,
    task_id: TaskId,
    guidance: str,
    node_id: Annotated[str | None, Field(description="the node it is for; all when absent")] = None,
) -> Guided:
    """Tells a running task what its next generation has to heed."""
    await of_lab(ctx, lambda lab: lab.tasks.guide(task_id, guidance, node_id))
    return Guided(task_id=task_id)


def _shown(task: Task, prompt_chars: int = _PROMPT_CHARS) -> TaskShape:
    return TaskShape.of(task, prompt=_head(task.prompt, prompt_chars))


def _in_words(task: Task) -> str:
    where = f", {task.current_module} in iteration {task.iteration}" if task.current_module else ""
    return f"{task.status}: {task.modules_complete} of {task.total_modules} done{where}"


def _result(module: Module, source_chars: int) -> ModuleResult:
    simulation: dict[str, Any] = module.simulation or {}
    return ModuleResult.of(
        module,
        iterations=len(module.iterations),
        sources={name: _head(text, source_chars) for name, text in module.sources.items()} if source_chars else {},
        assertions=msgspec.to_builtins(simulation.get("assertions", [])),
        output=cut(str(simulation.get("output", "")), _SAID_CHARS),
        report=cut(module.report, _SAID_CHARS),
    )


def _head(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n[{len(text) - most} characters more are not shown]"


TOOLS = [
    adds(start_firmware_task), adds(start_code_task), reads(list_tasks), reads(get_task), reads(wait_for_task), reads(get_task_results),
    changes(cancel_task), adds(guide_task),
]  # fmt: skip
