"""`benchwire deploy`: what a lab of one host or many needs on each."""

import sys
from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec
import typer

from benchwire.deploy.hosts import streams, watch, writing
from benchwire.deploy.hosts.described import NAME, PARTS, BadLab, Host, Lab, checked, host_of, read
from benchwire.deploy.settings import machine_name
from benchwire.events.permissions import BACKUP, NATS, SERVICES

Option = typer.Option

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def deploy() -> None:
    """A lab of many hosts: keys, certificates, users of NATS, environments; its streams; what NATS refuses."""


app.command("streams")(streams.streams)
app.command("watch")(watch.watch)


@app.command()
def init(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help=f"The folder to write to; OUT/{NAME} says what the lab is.")
    ],
    *,
    host: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=ADDRESS:PARTS",
            help=f"A host with its parts, separated by commas: {', '.join(PARTS)}. Repeatable; kept in OUT/{NAME}.",
        ),
    ] = None,
    name: Annotated[str | None, Option(help="The lab's name.")] = None,
    etc: Annotated[
        str, Option(help="Where a host's folder will be on that host; {host} stands for its name.")
    ] = "/etc/benchwire",
    data: Annotated[str, Option(help="Where the parts of a host keep their data; the same.")] = "/var/lib/benchwire",
) -> None:
    """Writes what each host of a lab needs; run again, it adds what is new and keeps every key.

    Without a description, the lab is this machine with all parts.
    """  # fmt: skip
    try:
        lab = _described(out, host or [], name)
        writing.write(out, lab, writing.Places(etc=PurePosixPath(etc), data=PurePosixPath(data)))
    except (BadLab, OSError, ValueError) as error:
        print(f"benchwire deploy init: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
        sys.exit(1)
    for line in _next_steps(out, lab, etc):
        print(line)  # noqa: T201


def _described(out: Path, given: list[str], name: str | None) -> Lab:
    """The lab of the folder, with what was given now; else this machine."""
    there = read(out / NAME) if (out / NAME).exists() else Lab(hosts={})
    hosts = there.hosts | dict(host_of(one) for one in given)
    if not hosts:
        hosts = {machine_name(): Host(parts=[NATS, *SERVICES, BACKUP])}
    if name is not None and there.hosts and name != there.name:
        raise BadLab(f"this lab is called {there.name!r}, and its certificates say so")
    return checked(msgspec.structs.replace(there, hosts=hosts, name=name or there.name))


def _next_steps(out: Path, lab: Lab, etc: str) -> list[str]:
    lines = [f"written: {out}, for {', '.join(lab.hosts)}. It holds keys; keep it where only you can read it.", ""]
    lines += [
        f"  bring {out}/hosts/{name}/ to {etc.replace('{host}', name)} of {name} ({', '.join(one.parts)})"
        for name, one in lab.hosts.items()
    ]
    lines += [
        "  start the NATS servers there with --config /etc/benchwire/nats-server.conf; one that runs reads it again on SIGHUP",
        f"  make the log: env $(cat {out}/admin/admin.env) benchwire deploy streams",
        "  start the parts there, each with its environment, PART.env",
        f"  look: env $(cat {out}/admin/operator.env) benchwire tail",
    ]
    if gone := writing.left_over(out, lab):
        lines += [
            "",
            f"in the lab no more, and let in no more once the servers have their new files: {', '.join(gone)}",
        ]
    return lines
