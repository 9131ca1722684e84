"""The sub-commands of `benchwire task`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from benchwire.deploy.calling import above_zero, called, print_json, text_of
from benchwire.deploy.client import ENDED, Client, UrlOption
from benchwire.deploy.ending import say
from benchwire.deploy.hardware.asked import JsonOption, console
from benchwire.deploy.story import shown
from benchwire.deploy.task.asked import code_task, firmware_task, links_of, node_of
from benchwire.deploy.task.seeing import View, seen_through, watched

Option = typer.Option
TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id.")]
OutOption = Annotated[
    Path | None, Option("--out", "-o", metavar="DIR", help="Write what was made into this folder: modules and tests, or sources by node.")
]  # fmt: skip
LogOption = Annotated[bool, Option("--log", help="Show the task's own log, line by line.")]

app = typer.Typer(help="Tasks: have firmware or code made, watch, guide and cancel that.", no_args_is_help=True)


@app.command()
def run(  # noqa: PLR0917 - typer calls it by name
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="What the firmware has to do; - reads it from stdin.")
    ] = None,
    code: Annotated[str | None, Option(metavar="PROMPT", help="Have a Python program made instead.")] = None,
    board: Annotated[
        str | None, Option("--board", "-b", help="The board profile; the model chooses unless told.")
    ] = None,
    node: Annotated[
        list[Path] | None, Option(metavar="FILE.toml", help="A node as a file says; repeatable. None is designed then.")
    ] = None,
    link: Annotated[list[str] | None, Option(metavar="A:B", help="Join the UARTs of two nodes; repeatable.")] = None,
    answer: Annotated[list[str] | None, Option(help="What else there is to know; repeatable.")] = None,
    deploy: Annotated[bool, Option("--deploy/--no-deploy", help="Flash boards after the simulation.")] = False,
    quality: Annotated[float | None, Option(min=0, max=1, help="The score that code has to reach, 0 to 1.")] = None,
    iterations: Annotated[int | None, Option(min=1, help="How often each module may be tried.")] = None,
    simulate: Annotated[float | None, Option(metavar="S", help="How long a simulation may run.")] = None,
    timeout: Annotated[float | None, Option(metavar="S", help="Cancel it after so long.")] = None,
    wait: Annotated[bool, Option("--wait/--no-wait", help="See it through, or print the task's id only.")] = True,
    log: LogOption = False,
    out: OutOption = None,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Has firmware or code made and sees it through; Ctrl-C cancels it.

    The exit code is 0 when all of it was made, 1 when not, and 143 when it was cancelled.
    """

    words = text_of("task run", prompt) if prompt is not None else ""
    program = text_of("task run", code) if code is not None else None

    async def asked(client: Client) -> int:
        body = _body(
            words, program, board=board, files=node or [], links=link or [], answers=answer or [], deploy=deploy, quality=quality,
            iterations=iterations, simulate=simulate,
        )  # fmt: skip
        _ready(out)
        patience = above_zero(timeout, "--timeout")
        if not wait:
            task_id = await client.start(body)
            print_json({"task_id": task_id}) if json else print(task_id)  # noqa: T201 - a command's own output
            return 0
        view = View("task run", json=json, log=log, out=out)
        return await seen_through(client, body, view, timeout_s=patience, quiet=json)

    called("task run", url, asked)


def _body(
    prompt: str, code: str | None, *, board: str | None, files: list[Path], links: list[str], answers: list[str], deploy: bool,
    quality: float | None, iterations: int | None, simulate: float | None,
) -> dict[str, Any]:  # fmt: skip
    """Raises ``ValueError``, ``BadNode`` and ``BadSources``."""
    if code is not None:
        if prompt or board or files or links or deploy or simulate is not None:
            raise ValueError(
                "--code is about a program; a prompt, boards, nodes, links and simulations are about firmware"
            )
        return code_task(code, answers=answers, quality=quality, iterations=iterations)
    if quality is not None:
        raise ValueError("--quality is about --code; of firmware the assertions decide")
    return firmware_task(
        prompt, board=board, nodes=[node_of(one, deploy=deploy) for one in files], links=links_of(links), answers=answers,
        deploy=deploy, iterations=iterations, simulate_s=simulate,
    )  # fmt: skip


def _ready(folder: Path | None) -> None:
    """Makes the folder before anything is paid for that would go there. Raises ``OSError``."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)


@app.command()
def watch(
    task_id: TaskId, log: LogOption = False, out: OutOption = None, json: JsonOption = False, url: UrlOption = None
) -> None:
    """Shows a task from its beginning to its end and what came of it; Ctrl-C ends the looking.

    The exit code is 0 when all of it was made, 1 when not, and 143 when it was cancelled.
    """

    async def asked(client: Client) -> int:
        await client.task(task_id)
        _ready(out)
        return await watched(client, task_id, View("task watch", json=json, log=log, out=out))

    called("task watch", url, asked)


@app.command()
def cancel(task_id: TaskId, json: JsonOption = False, url: UrlOption = None) -> None:
    """Ends a task; the exit code is 0 when it has ended."""

    async def asked(client: Client) -> int:
        told = await client.cancel(task_id)
        print_json(told) if json else console().print(shown(told["message"], 400))
        return 0 if told["status"] in ENDED else 1

    called("task cancel", url, asked)


@app.command()
def guide(
    task_id: TaskId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to heed; - reads it from stdin.")],
    module: Annotated[str | None, Option(help="The node or module that it is for; all of them unless told.")] = None,
    url: UrlOption = None,
) -> None:
    """Tells the model what to heed when it writes next."""

    words = text_of("task guide", text)

    async def asked(client: Client) -> int:
        await client.guide(task_id, words, module)
        say(f"{module or 'every module'} is written with that in mind from the next try on")
        return 0

    called("task guide", url, asked)


@app.command("list")
def list_tasks(json: JsonOption = False, url: UrlOption = None) -> None:
    """Lists tasks, newest first."""

    async def asked(client: Client) -> int:
        table = Table("task", "kind", "status", "modules", "created", "prompt", box=None, pad_edge=False)
        for one in await client.tasks():
            if json:
                print_json(one)
            made = f"{one['modules_complete']} of {one['total_modules']}"
            fields = (one["task_id"], one["kind"], one["status"], made, one["created_at"], one["prompt"])
            table.add_row(*(shown(field or "", 60) for field in fields))
        if not json:
            console().print(table)
        return 0

    called("task list", url, asked)
