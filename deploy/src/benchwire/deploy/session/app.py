"""The sub-commands of `benchwire session`."""

from typing import Annotated

import typer
from rich.table import Table

from benchwire.deploy.calling import called, print_json
from benchwire.deploy.client import Client, UrlOption
from benchwire.deploy.hardware.asked import JsonOption, console
from benchwire.deploy.recording.asking import record, replay
from benchwire.deploy.session.asking import SessionId, approvals, approve, deny, say_to, start, watched
from benchwire.deploy.session.following import known
from benchwire.deploy.session.showing import Shower, shown_so_far
from benchwire.deploy.session.watch import watch
from benchwire.deploy.story import shown

Option = typer.Option

app = typer.Typer(
    help="Sessions: start agents, read along, say things, approve, stop, record, replay; or run a command as one.",
    no_args_is_help=True,
)
app.command()(start)
app.command("say")(say_to)
app.command()(approvals)
app.command()(approve)
app.command()(deny)
app.command()(watch)
app.command()(record)
app.command()(replay)


@app.command("list")
def list_sessions(
    status: Annotated[
        str | None, Option(help="Only those that are running, stopping, finished, stopped or failed.")
    ] = None,
    limit: Annotated[int, Option(min=1, help="At most so many, the newest.")] = 20,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Lists sessions, newest first."""
    query = {"limit": str(limit), **({"status": status} if status else {})}

    async def listed(client: Client) -> int:
        table = Table("id", "status", "name", "agent", "modified", box=None, pad_edge=False)
        for one in await client.sessions(**query):
            if json:
                print_json(one)
            table.add_row(*(shown(one[field] or "", 60) for field in _LISTED))
        if not json:
            console().print(table)
        return 0

    called("session list", url, listed)


@app.command()
def show(
    session_id: SessionId,
    follow: Annotated[
        bool, Option("--follow", "-f", help="Go on until the session has ended; Ctrl-C ends the looking.")
    ] = False,
    whole: Annotated[bool, Option("--whole", help="Do not shorten what tools said.")] = False,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Shows a session: what was said, which tools ran, what waits for a person, what it cost, how it ended.

    With --follow the exit code is 0 for a session that finished, 1 for one that failed and 143 for one that was stopped.
    """

    async def told(client: Client) -> int:
        shower = Shower(json=json, whole=whole)
        shower.head(await known(client, session_id))
        if follow:
            return await watched(client, session_id, shower)
        await shown_so_far(client, session_id, shower)
        return 0

    called("session show", url, told)


@app.command()
def stop(session_id: SessionId, json: JsonOption = False, url: UrlOption = None) -> None:
    """Stops a session and what runs below it; the exit code is 0 when all of it has ended."""

    async def stopped(client: Client) -> int:
        told = await client.stop_session(session_id)
        if json:
            print_json(told)
        else:
            out = console()
            out.print(shown(told["message"], 400))
            for child in told["children_stopped"]:
                out.print(f"{shown(child)} was stopped with it")
            for left in told["children_not_stopped"]:
                out.print(f"{shown(left['session_id'])} was not: {shown(left['detail'], 400)}")
        return 0 if told["status"] == "stopped" and not told["children_not_stopped"] else 1

    called("session stop", url, stopped)


_LISTED = ("session_id", "status", "session_name", "agent_name", "modified_at")
