"""`benchwire run`: sources of one's own through the whole lab: built, simulated, flashed on a board, and heard there."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchwire.boards import profile as profiles
from benchwire.client.errors import NoLab, Refused
from benchwire.deploy import interrupt, sources
from benchwire.deploy.client import Client, UrlOption, found
from benchwire.deploy.sources import BadSources
from benchwire.deploy.story import first_problem, shown, size
from benchwire.events.settings import InvalidSettings

_NODE = "node-1"
_CANCEL_TIMEOUT_S = 5.0

Option = typer.Option


def run(  # noqa: PLR0917 - typer calls it by name
    path: Annotated[Path, typer.Argument(metavar="DIR_OR_FILE", help="The sources: .c, .h, .s and .S files.")],
    board: Annotated[str, Option(help="The board profile they are for, e.g. stm32f405.")],
    expect: Annotated[str | None, Option(help="The text that the board has to print.")] = None,
    asserted: Annotated[
        list[str] | None,
        Option("--assert", metavar="PATTERN", help="What the simulation has to show: a text, or a /regex/."),
    ] = None,
    deploy: Annotated[bool, Option("--deploy/--no-deploy", help="Flash a board after the simulation.")] = True,
    url: UrlOption = None,
    timeout: Annotated[float, Option(help="Seconds after which the task is cancelled.")] = 300.0,
) -> None:
    """Builds sources, simulates them, flashes a board with them and waits for what it prints; needs a running lab."""
    try:
        task = task_of(sources.read(path), board, expect=expect, patterns=asserted or [], deploy=deploy)
        client = found(url)
        if timeout <= 0:
            raise ValueError(f"--timeout is {timeout:g}; it takes seconds above 0")  # noqa: TRY301 - one place tells
    except (BadSources, profiles.UnknownProfile, InvalidSettings, ValueError) as error:
        sys.exit(_complain(str(error), 2))
    sys.exit(interrupt.run(lambda: _run(client, task, timeout)))


def task_of(
    files: dict[str, str], board: str, *, expect: str | None, patterns: list[str], deploy: bool
) -> dict[str, Any]:
    """The body of ``POST /tasks``. Raises ``UnknownProfile``, and ``ValueError`` for an empty pattern."""
    if "" in patterns or "//" in patterns or expect == "":
        raise ValueError("an empty text is in every output; say what the board has to print")
    if expect is not None and not deploy:
        raise ValueError(
            "--expect is about the board, which --no-deploy leaves alone; --assert is about the simulation"
        )
    assertions = [_assertion(pattern) for pattern in patterns]
    if not assertions and expect is not None:
        assertions = [_assertion(expect, literally=True)]
    node: dict[str, Any] = {
        "node_id": _NODE, "board": profiles.load(board).name, "description": "sources handed in", "sources": files,
        "assertions": assertions, "deploy": deploy, "expect": expect,
    }  # fmt: skip
    return {"kind": "firmware", "prompt": f"build {', '.join(files)}", "max_iterations": 1, "nodes": [node]}


def _assertion(pattern: str, *, literally: bool = False) -> dict[str, Any]:
    is_regex = not literally and len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/")
    kind, text = ("regex", pattern[1:-1]) if is_regex else ("substring", pattern)
    return {"name": f"prints {pattern}"[:200], "pattern": text, "kind": kind, "required": True}


async def _run(client: Client, task: dict[str, Any], timeout_s: float) -> int:
    out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    async with client:
        try:
            task_id = await client.start(task)
        except Refused as error:
            return _complain(str(error), 2 if error.status_code == 400 else 1)
        except NoLab as error:
            return _complain(str(error), 1)
        out.print(f"{task_id} at {client.url}")
        over = False
        try:
            async with asyncio.timeout(timeout_s):
                await _follow(client, task_id, out)
                verdict = await _verdict(client, task_id)
            over = True
        except TimeoutError:
            return _complain(f"{task_id} did not end within {timeout_s:g} s; it is cancelled", 1)
        except (NoLab, Refused) as error:
            return _complain(f"{task_id} cannot be followed any more: {error}", 1)
        finally:
            if not over:
                await _cancelled(client, task_id)
    if verdict:
        return _complain(verdict, 1)
    return 0


async def _follow(client: Client, task_id: str, out: Console) -> None:
    async with contextlib.aclosing(client.frames(task_id)) as frames:
        async for frame in frames:
            if text := line(frame):
                out.print(text)


async def _verdict(client: Client, task_id: str) -> str:
    """Why the task did not do what was asked; empty when it did."""
    return reason(await client.results(task_id))


def reason(results: dict[str, Any]) -> str:
    """Why a task did not do what was asked, from its results; empty when it did."""
    if results["status"] == "completed":
        return ""
    said: list[str] = []
    for module in results.get("modules", []):
        last = (module.get("iterations") or [{}])[-1]
        if last.get("compiled") is False:
            said += [f"  {line}" for line in last.get("diagnostics", "").splitlines()[:20]]
        simulation = last.get("simulation") or {}
        missed = [one for one in simulation.get("assertions", []) if not one["passed"] and one["required"]]
        said += [f"  not shown by the simulation: {shown(one['name'])} ({shown(one['detail'])})" for one in missed]
        if missed or simulation.get("ok") is False:
            said += [f"  | {shown(line)}" for line in simulation.get("output", "").splitlines()[-20:]]
    error = str(results.get("error") or "")
    if said:  # its other lines are the feedback that a model would get: the same in other words
        error = error.partition("\n")[0]
    return "\n".join([f"the task {results['status']}{_because(error)}", *said])


def line(frame: dict[str, Any]) -> str:  # noqa: C901, PLR0911 - one line per kind of frame
    """What a frame of the task's WebSocket says to a person; empty for what need not be said."""
    data = frame.get("data") or {}
    match frame.get("type"):
        case "MODULE_STARTED":
            return f"building for {shown(data.get('board'), 40)}"
        case "MODULE_COMPILED" if data.get("ok"):
            return f"built: flash {size(data.get('flash_bytes', 0))}, RAM {size(data.get('ram_bytes', 0))}"
        case "MODULE_COMPILED":
            return "does not build"
        case "MODULE_ITERATION" if "outcome" in data:
            return (
                f"simulated: {shown(data['outcome'], 30)}, {data.get('test_pass_rate', 0):.0%} of the assertions hold"
            )
        case "MODULE_ITERATION":
            return f"failed at {shown(data.get('stage'), 30)}: {first_problem(str(data.get('feedback', '')))}"
        case "MODULE_IMAGE_STORED":
            return f"image: {size(data.get('size', 0))}, sha256 {shown(str(data.get('digest'))[:12])}"
        case "MODULE_DEPLOYING":
            return f"flashing {shown(data.get('device'), 60)} at {shown(data.get('host'), 60)}"
        case "MODULE_DEPLOYED":
            return f"{shown(data.get('device'), 60)} printed: {shown(data.get('line'))}"
        case "TASK_COMPLETE":
            return f"finished in {data.get('duration_s', 0):.1f} s"
        case "ERROR":
            return shown(data.get("error"))
        case _:
            return ""


async def _cancelled(client: Client, task_id: str) -> None:
    """Does not leave a task behind that nobody waits for; a lab that is gone has no task either."""
    with contextlib.suppress(NoLab, Refused, TimeoutError):
        await asyncio.wait_for(client.cancel(task_id), _CANCEL_TIMEOUT_S)


def _because(error: str) -> str:
    return f": {error}" if error else ""


def _complain(reason: str, code: int) -> int:
    print(f"benchwire run: {reason}", file=sys.stderr)  # noqa: T201 - a command's own output
    return code
