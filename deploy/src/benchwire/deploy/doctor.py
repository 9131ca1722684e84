"""`benchwire doctor`: what this machine has, what it lacks, and how to get it."""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchwire.deploy.findings import Finding, all_findings, can_run
from benchwire.deploy.settings import Settings
from benchwire.events.settings import InvalidSettings, load

_STYLES = {"ok": "green", "limited": "yellow", "missing": "bold red"}

Option = typer.Option


def doctor(
    data: Annotated[Path | None, Option(help="The data directory to look at.  [env: BENCHWIRE_DATA]")] = None,
    as_json: Annotated[bool, Option("--json", help="Print JSON.")] = False,
) -> None:
    """Says what this machine has, what it lacks, and how to get it; exits with 1 when the lab cannot do its main job."""
    try:
        settings = load(Settings)
    except InvalidSettings as error:
        print(f"benchwire doctor: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
        sys.exit(1)
    if data is not None:
        settings = msgspec.structs.replace(settings, data=data)
    findings = all_findings(settings, os.environ)
    if as_json:
        print(report(findings))  # noqa: T201
    else:
        _print(findings)
    sys.exit(0 if can_run(findings) else 1)


def report(findings: list[Finding]) -> str:
    """The findings as JSON."""
    body = {"can_run": can_run(findings), "findings": findings}
    return msgspec.json.format(msgspec.json.encode(body)).decode()


def _print(findings: list[Finding]) -> None:
    out = Console(highlight=False, markup=False, emoji=False)
    out.print(table_of(findings))
    if can_run(findings):
        out.print("The lab can run here: benchwire demo shows it.")
        return
    lacking = ", ".join(one.what for one in findings if one.needed and one.state == "missing")
    out.print(f"The lab cannot do its main job here; it lacks: {lacking}")


def table_of(findings: list[Finding]) -> Table:
    """The findings, one row each."""
    table = Table(box=None, padding=(0, 1), header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("found", overflow="fold")
    table.add_column("how to get it", overflow="fold")
    for one in findings:
        table.add_row(Text(one.state, _STYLES[one.state]), Text(one.what), Text(one.detail), Text(one.how))
    return table
