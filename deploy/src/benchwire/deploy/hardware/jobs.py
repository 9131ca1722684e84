"""`benchwire jobs`: flash jobs, what became of them, and a hand on those that run."""

from typing import Annotated

import msgspec
import typer

from benchwire.deploy.ending import told
from benchwire.deploy.hardware.asked import BoardUrlOption, DeviceOption, HostOption, JsonOption, console, lab, listed
from benchwire.deploy.story import json_text, shown
from benchwire.events.journal import printable

Option = typer.Option
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]

app = typer.Typer(help="Flash jobs: list, show, pause, resume, cancel, throttle; how they went.")

_COLUMNS = {
    "job": "job_id", "device": "device_id", "host": "host", "status": "status", "bytes": "total_bytes", "s": "duration",
    "attempt": "attempt", "flash": "flash_state", "error": "error",
}  # fmt: skip


@app.callback(invoke_without_command=True)
def jobs(  # noqa: PLR0917 - typer calls it by name
    context: typer.Context,
    status: Annotated[
        str | None, Option(help="Only those that are queued, flashing, paused, completed, failed or cancelled.")
    ] = None,
    device: DeviceOption = None,
    host: HostOption = None,
    limit: Annotated[int, Option(min=1, max=1000, help="At most so many, the newest.")] = 20,
    json: JsonOption = False,
    url: BoardUrlOption = None,
) -> None:
    """Lists flash jobs, newest first."""
    if context.invoked_subcommand is not None:
        return
    with told("jobs"), lab(url) as there:
        listed(there.jobs(status=status, device_id=device, host=host, limit=limit), _COLUMNS, json=json)


@app.command()
def show(job_id: JobId, json: JsonOption = False, url: BoardUrlOption = None) -> None:
    """Shows what is known of a job."""
    with told("jobs show"), lab(url) as there:
        job = there.job(job_id)
        if json:
            listed([job], {}, json=True)
            return
        for field, value in msgspec.to_builtins(job).items():
            console().print(f"{field:14} {shown('' if value is None else value, 200)}")


@app.command()
def pause(job_id: JobId, url: BoardUrlOption = None) -> None:
    """Holds a job at the next safe place."""
    _steer(job_id, "pause", url)


@app.command()
def resume(job_id: JobId, url: BoardUrlOption = None) -> None:
    """Lets a job go on."""
    _steer(job_id, "resume", url)


@app.command()
def cancel(job_id: JobId, url: BoardUrlOption = None) -> None:
    """Ends a job; the board is marked if its flash is not what it was."""
    _steer(job_id, "cancel", url)


@app.command()
def throttle(
    job_id: JobId,
    limit: Annotated[int, typer.Argument(metavar="BYTES/S", min=0, help="0 lifts the limit.")],
    url: BoardUrlOption = None,
) -> None:
    """Makes a job write no faster."""
    with told("jobs throttle"), lab(url) as there:
        there.throttle(job_id, limit or None)


@app.command()
def stats(
    by: Annotated[str, Option(help="board, host or device.")] = "board",
    since: Annotated[
        str | None, Option(metavar="TIME", help="Only jobs since then, e.g. 2026-01-31T12:00:00Z.")
    ] = None,
    url: BoardUrlOption = None,
) -> None:
    """Tells how flashing went: success, durations and speeds, as JSON."""
    with told("jobs stats"), lab(url) as there:
        print(msgspec.json.format(json_text(there.analytics(by=by, since=since))))  # noqa: T201 - a command's own output


def _steer(job_id: str, wish: str, url: str | None) -> None:
    with told(f"jobs {wish}"), lab(url) as there:
        print(printable(there.steer(job_id, wish)))  # noqa: T201
