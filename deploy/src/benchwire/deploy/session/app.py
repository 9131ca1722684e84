"""The sub-commands of `benchwire session`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy.client import Client, UrlOption, found
from benchwire.deploy.session.watch import watch
from benchwire.deploy.story import shown
from benchwire.events.settings import InvalidSettings

Option = typer.Option
SessionId = Annotated[str, typer.Argument(metavar="ID", help="The session's id.")]

app = typer.Typer(help="Sessions: run a command as one, look at them, stop them.", no_args_is_help=True)
app.command()(watch)


@app.command("list")
def list_sessions(
    status: Annotated[
        str | None, Option(help="Only those that are running, stopping, finished, stopped or failed.")
    ] = None,
    limit: Annotated[int, Option(min=1, help="At most so many, the newest.")] = 20,
    url: UrlOption = None,
) -> None:
    """Lists sessions, newest first."""
    query = {"limit": str(limit), **({"status": status} if status else {})}

    async def listed(client: Client) -> int:
        table = Table("id", "status", "name", "agent", "modified", box=None, pad_edge=False)
        for one in await client.sessions(**query):
            table.add_row(*(shown(one[field] or "", 60) for field in _LISTED))
        _console().print(table)
        return 0

    _run(url, listed)


@app.command()
def show(session_id: SessionId, url: UrlOption = None) -> None:
    """Shows what is known of a session."""

    async def told(client: Client) -> int:
        session = await client.session(session_id)
        if session is None:
            raise Refused(404, f"there is no session {session_id!r}")
        for field, value in session.items():
            _console().print(f"{field:20} {shown('' if value is None else value, 200)}")
        return 0

    _run(url, told)


@app.command()
def stop(session_id: SessionId, url: UrlOption = None) -> None:
    """Stops a session and what runs below it; the exit code is 0 when all of it has ended."""

    async def stopped(client: Client) -> int:
        told = await client.stop_session(session_id)
        out = _console()
        out.print(shown(told["message"], 400))
        for child in told["children_stopped"]:
            out.print(f"{shown(child)} was stopped with it")
        for left in told["children_not_stopped"]:
            out.print(f"{shown(left['session_id'])} was not: {shown(left['detail'], 400)}")
        return 0 if told["status"] == "stopped" and not told["children_not_stopped"] else 1

    _run(url, stopped)


_WIDE = 240  # a pipe has no width; ids must be whole in it
_LISTED = ("session_id", "status", "session_name", "agent_name", "modified_at")


def _console() -> Console:
    width = None if sys.stdout.isatty() else _WIDE
    return Console(width=width, soft_wrap=True, highlight=False, markup=False, emoji=False)


def _run(url: str | None, command: Callable[[Client], Coroutine[Any, Any, int]]) -> None:
    async def with_client() -> int:
        async with found(url) as client:
            return await command(client)

    try:
        sys.exit(asyncio.run(with_client()))
    except (NoLab, Refused, InvalidSettings) as error:
        print(f"benchwire session: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
        sys.exit(1)
