"""`benchwire run`: sources of one's own through the whole lab: built, simulated, flashed on a board, and heard there."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from benchwire.boards import profile as profiles
from benchwire.client.errors import NoLab, Refused
from benchwire.deploy import interrupt, sources
from benchwire.deploy.calling import above_zero
from benchwire.deploy.client import Client, UrlOption, found
from benchwire.deploy.sources import BadSources
from benchwire.deploy.task.seeing import View, seen_through
from benchwire.events.settings import InvalidSettings

_NODE = "node-1"

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
        above_zero(timeout, "--timeout")
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
    async with client:
        try:
            return await seen_through(client, task, View("run", named=False, table=False), timeout_s=timeout_s)
        except Refused as error:
            return _complain(str(error), 2 if error.status_code == 400 else 1)
        except NoLab as error:
            return _complain(str(error), 1)


def _complain(reason: str, code: int) -> int:
    print(f"benchwire run: {reason}", file=sys.stderr)  # noqa: T201 - a command's own output
    return code
