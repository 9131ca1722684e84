"""`benchwire lease`: a board for oneself, for a while."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from benchwire.client import Lease
from benchwire.deploy.ending import say, told
from benchwire.deploy.hardware.asked import (
    BoardUrlOption,
    DeviceOption,
    HostOption,
    JsonOption,
    LabelOption,
    ProfileOption,
    holder,
    lab,
    labels,
    listed,
)

Option = typer.Option
ForOption = Annotated[float, Option("--for", metavar="S", min=1, help="For so long.")]
WaitOption = Annotated[float, Option("--wait", metavar="S", min=0, help="Wait so long in the queue for it.")]
HolderOption = Annotated[
    str | None, Option("--holder", metavar="NAME", help="Who has it; this user on this machine unless told.")
]
LeaseId = Annotated[str, typer.Argument(metavar="ID", help="The lease's id.")]

app = typer.Typer(help="Leases: a board for oneself, for a while.", no_args_is_help=True)

_COLUMNS = {
    "lease": "lease_id", "state": "state", "holder": "holder", "device": "device_id", "host": "host", "profile": "profile",
    "labels": "labels", "place": "place", "until": "expires_at",
}  # fmt: skip


@app.command()
def take(  # noqa: PLR0917 - typer calls it by name
    device: DeviceOption = None,
    host: HostOption = None,
    profile: ProfileOption = None,
    label: LabelOption = None,
    for_s: ForOption = 900.0,
    wait_s: WaitOption = 0.0,
    holder_: HolderOption = None,
    json: JsonOption = False,
    url: BoardUrlOption = None,
) -> None:
    """Leases a board and prints the lease's id; which board it is goes to stderr."""
    with told("lease take"), lab(url) as there:
        lease = there.lease(
            holder_ or holder(), device=device, host=host, profile=profile, labels=labels(label), for_s=for_s, patience_s=wait_s
        )  # fmt: skip
        if json:
            listed([lease], {}, json=True)
        else:
            say(f"{lease.device_id} on {lease.host} until {lease.expires_at}")
            print(lease.lease_id)  # noqa: T201 - a command's own output


@app.command()
def run(  # noqa: PLR0917 - typer calls it by name
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run, after two dashes.")],
    device: DeviceOption = None,
    host: HostOption = None,
    profile: ProfileOption = None,
    label: LabelOption = None,
    wait_s: WaitOption = 300.0,
    holder_: HolderOption = None,
    url: BoardUrlOption = None,
) -> None:
    """Leases a board for the time of a command, which finds it in BENCHWIRE_DEVICE, _DEVICE_HOST, _PORT and _LEASE."""
    with told("lease run"), lab(url) as there:
        wanted = {"device": device, "host": host, "profile": profile, "labels": labels(label)}
        with there.leased(holder_ or holder(), for_s=60.0, patience_s=wait_s, **wanted) as lease:
            environment = {**os.environ, **_environment(lease, there.device(lease.device_id or "", lease.host).port)}
            code = subprocess.run(command, env=environment, check=False).returncode
        sys.exit(128 - code if code < 0 else code)


def _environment(lease: Lease, port: str | None) -> dict[str, str]:
    return {
        "BENCHWIRE_LEASE": lease.lease_id,
        "BENCHWIRE_DEVICE": lease.device_id or "",
        "BENCHWIRE_DEVICE_HOST": lease.host or "",
        "BENCHWIRE_PORT": port or "",
    }


@app.command("list")
def list_leases(
    state: Annotated[str | None, Option(help="Only those that are waiting, held or ended.")] = None,
    device: DeviceOption = None,
    json: JsonOption = False,
    url: BoardUrlOption = None,
) -> None:
    """Lists leases, and who waits in which place."""
    with told("lease list"), lab(url) as there:
        listed(there.leases(state=state, device_id=device), _COLUMNS, json=json)


@app.command()
def renew(lease_id: LeaseId, for_s: ForOption = 900.0, url: BoardUrlOption = None) -> None:
    """Makes a lease good for so long from now on."""
    with told("lease renew"), lab(url) as there:
        say(f"until {there.renew(lease_id, for_s).expires_at}")


@app.command()
def release(lease_id: LeaseId, url: BoardUrlOption = None) -> None:
    """Gives a board back, or leaves the queue."""
    with told("lease release"), lab(url) as there:
        there.release(lease_id)
