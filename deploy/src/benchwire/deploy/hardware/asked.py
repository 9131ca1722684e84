"""What the commands for boards have in common: which board is meant, and how things are listed."""

import getpass
import os
import re
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchwire.client import Image, Lab
from benchwire.deploy import lab_file
from benchwire.deploy.settings import Settings
from benchwire.deploy.story import json_text, shown
from benchwire.events.settings import load

Option = typer.Option

DeviceOption = Annotated[str | None, Option("--device", "-d", help="The board's name, or its serial port.")]
HostOption = Annotated[str | None, Option(help="Its host, when several have a board of that name.")]
ProfileOption = Annotated[str | None, Option("--profile", "-p", help="Any board of this profile, e.g. esp32c3.")]
LabelOption = Annotated[
    list[str] | None, Option("--label", "-l", metavar="K=V", help="Any board with this label; all, when repeated.")
]
LeaseOption = Annotated[str | None, Option(help="The lease under which the board is had.", envvar="BENCHWIRE_LEASE")]
JsonOption = Annotated[bool, Option("--json", help="Print JSON, one object per line.")]
BoardUrlOption = Annotated[
    str | None, Option("--url", help="The lab's address; that of the lab that runs here unless told.")
]

_WIDE = 240  # a pipe has no width; names must be whole in it
_PLACED = re.compile(r"(.+)@(0[xX][0-9a-fA-F]+|[0-9]+)")


def lab(url: str | None) -> Lab:
    """The lab at ``url``, else the one that runs on the data directory here, else the default. Raises ``InvalidSettings``."""
    here = lab_file.read(load(Settings).data)
    return Lab(url or (here.observability_url if here else None))


def labels(pairs: list[str] | None) -> dict[str, str]:
    """``rack=2`` and the like. Raises ``ValueError``."""
    for pair in pairs or []:
        if not re.fullmatch(r"[^=]+=.+", pair):
            raise ValueError(f"--label is {pair!r}; it takes KEY=VALUE")
    return dict(pair.split("=", 1) for pair in pairs or [])


def image(file: str) -> Image:
    """``app.bin`` or ``app.bin@0x10000``. Raises ``OSError`` for a file that is not there."""
    placed = _PLACED.fullmatch(file)
    if placed is not None and not Path(file).exists():
        path, address = Path(placed.group(1)), int(placed.group(2), 0)
    else:
        path, address = Path(file), None
    with path.open("rb"):
        return Image(path, address)


def holder() -> str:
    """Who asks, unless told: this user on this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def listed(rows: list[Any], columns: dict[str, str], *, json: bool) -> None:
    """Records as a table (``columns``: heading to field), or as JSON."""
    if json:
        for row in rows:
            print(json_text(row))  # noqa: T201 - a command's own output
        return
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(shown(_text(getattr(row, field)), 60) for field in columns.values()))
    console().print(table)


def console() -> Console:
    """Where tables and lines go."""
    width = None if sys.stdout.isatty() else _WIDE
    return Console(width=width, soft_wrap=True, highlight=False, markup=False, emoji=False)


def _text(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, dict):
        return " ".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value)
