"""`benchwire deploy streams`: makes the streams of a lab, and gives those that are there the limits of the settings."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer
from nats.errors import Error as NatsError
from rich.console import Console
from rich.table import Table

from benchwire.deploy.ending import say, told
from benchwire.deploy.hosts import limits
from benchwire.deploy.hosts.limits import Cover, Plan
from benchwire.deploy.tail import nats_settings
from benchwire.events.bus import Bus, NatsUnreachable, connected
from benchwire.events.settings import NatsSettings
from benchwire.events.streams import STREAM, BeingRestored

Option = typer.Option


class NotDone(Exception):
    """Something would be lost, and nobody said that it may be."""


def streams(
    *,
    nats_url: Annotated[str | None, Option(help="The lab's NATS server.  [env: BENCHWIRE_NATS_URL, NATS_URL]")] = None,
    data: Annotated[Path | None, Option(help="The data directory of a lab that runs here.")] = None,
    look: Annotated[bool, Option("--look", help="Only show it.")] = False,
    yes: Annotated[bool, Option("--yes", help="Also when something is deleted by that.")] = False,
    force: Annotated[
        bool, Option("--force", help="Also when events go that some part would need to make its rows.")
    ] = False,
) -> None:
    """Makes the streams that are missing, and gives the others the limits of BENCHWIRE_LOG_MAX_AGE_DAYS, _LOG_MAX_BYTES, _LIVE_MAX_AGE_S,
    _LIVE_MAX_BYTES and _NATS_REPLICAS. Shows first what changes, and what is lost by it.
    """
    with told("deploy streams", NatsUnreachable, BeingRestored, NatsError, NotDone):
        settings = nats_settings(nats_url, data, os.environ)
        asyncio.run(_streams(settings, look=look, yes=yes or force, force=force))


async def _streams(settings: NatsSettings, *, look: bool, yes: bool, force: bool) -> None:
    async with connected(settings, name="benchwire-deploy", ensured=False) as bus:
        plans = await limits.plans(bus)
        _print(plans)
        bare = await _bare(bus, plans)
        for one in bare:
            say(
                f"{one.projection}: {f'its snapshot reaches only to {one.upto}' if one.upto else 'there is no snapshot'}"
            )
        if look:
            return
        if bare and not force:
            raise NotDone(
                "these could not make their rows any more from what would be left of the log, should their files be lost; let them make "
                "snapshots first (they do while they run, BENCHWIRE_SNAPSHOT_EVENTS), or say --force"
            )
        lost = {str(one.wanted.name): one.lost.messages for one in plans if one.lost.messages}
        if lost and not yes:
            what = " and ".join(f"{count} messages of {name}" for name, count in lost.items())
            raise NotDone(
                f"{what} would be deleted; say --yes if they may, and make a backup before (benchwire backup)"
            )
        for plan in plans:
            if plan.there is None or plan.changes:
                await limits.applied(bus, plan)


async def _bare(bus: Bus, plans: list[Plan]) -> list[Cover]:
    """The projections whose snapshots do not reach to what would be left of the log."""
    upto = max((one.lost.upto for one in plans if one.wanted.name == STREAM), default=0)
    return [one for one in await limits.covers(bus) if one.upto < upto] if upto else []


def _print(plans: list[Plan]) -> None:
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in ("stream", "messages", "bytes", "change", "lost"):
        table.add_column(column, overflow="fold")
    for one in plans:
        state = one.there.state if one.there else None
        changes = "; ".join(f"{change.what} {change.before} -> {change.after}" for change in one.changes)
        lost = f"{one.lost.messages}, up to {one.lost.upto}" if one.lost.messages else ""
        table.add_row(
            str(one.wanted.name), str(state.messages) if state else "", str(state.bytes) if state else "",
            changes if one.there else "to be made", lost,
        )  # fmt: skip
    Console(highlight=False, markup=False, emoji=False).print(table)
