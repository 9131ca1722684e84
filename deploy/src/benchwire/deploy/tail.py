"""`benchwire tail`: what happens in the lab, one line each, for as long as one looks."""

import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from nats.errors import Error as NatsError
from rich.console import Console
from rich.text import Text

from benchwire.deploy import feed, interrupt, lab_file
from benchwire.deploy.feed import Heard, IllegalSubject
from benchwire.deploy.settings import Settings
from benchwire.deploy.story import sentence, shown
from benchwire.events.bus import NatsUnreachable, connected
from benchwire.events.settings import InvalidSettings, NatsSettings, load

_BAD = ("failed", "rejected")
_GOOD = ("finished", "completed", "succeeded", "deployed")
_ASKED = ("requested",)
_CONNECT_TIMEOUT_S = 2.0

Option = typer.Option


def tail(
    subjects: Annotated[
        list[str] | None, typer.Argument(metavar="[SUBJECT]...", help="What to listen to; 'bench.>' unless told.")
    ] = None,
    since: Annotated[
        str, Option(help="Start at this sequence number of the log, or at 'all'; new events only unless told.")
    ] = "",
    nats_url: Annotated[str | None, Option(help="The lab's NATS server.  [env: BENCHWIRE_NATS_URL, NATS_URL]")] = None,
    data: Annotated[Path | None, Option(help="The data directory of a lab that runs here.")] = None,
) -> None:
    """Prints what happens in the lab as it happens; Ctrl-C ends it."""
    try:
        wanted = [feed.checked(one) for one in subjects or ["bench.>"]]
        after = _after(since)
        settings = nats_settings(nats_url, data, os.environ)
    except (IllegalSubject, InvalidSettings, ValueError) as error:
        print(f"benchwire tail: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
        sys.exit(2)
    _say_troubles()
    try:
        sys.exit(interrupt.run(lambda: _tail(settings, wanted, after), when_told=0))
    except BrokenPipeError:  # `tail | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def nats_settings(nats_url: str | None, data: Path | None, environment: Mapping[str, str]) -> NatsSettings:
    """Where NATS is: as told, else where the lab on ``data`` says, else as the environment says, else where a lab in here would say.

    Raises ``InvalidSettings``, and ``ValueError`` when no lab runs on ``data``.
    """
    settings = load(NatsSettings, environment)
    if nats_url is None and data is not None:
        lab = lab_file.read(data)
        if lab is None:
            raise ValueError(f"no lab runs on {data}; `benchwire up --data {data}` starts one")
        nats_url = lab.nats_url
    elif nats_url is None and not (environment.get("NATS_URL") or environment.get("BENCHWIRE_NATS_URL")):
        lab = lab_file.read(load(Settings, environment).data)
        nats_url = lab.nats_url if lab else None
    return msgspec.structs.replace(
        settings, nats_url=nats_url or settings.nats_url, nats_connect_timeout_s=_CONNECT_TIMEOUT_S
    )


def line(heard: Heard) -> Text:
    """One line: the local time, who, what, and the facts that matter; the raw body when it cannot be read."""
    _, *who, what = heard.subject.split(".")
    place = " ".join(filter(None, [who[0] if who else "", "/".join(who[1:])]))
    facts = shown(f"({heard.trouble}) {heard.body.decode(errors='replace')}", 240)
    if heard.event is not None:
        facts = sentence(heard.event)
    return Text.assemble(
        (f"{heard.at.astimezone():%H:%M:%S.%f}"[:-3], "dim"),
        "  ",
        (shown(place), "cyan"),
        "  ",
        (shown(what), _style(what, readable=heard.event is not None)),
        "  ",
        facts,
    )


def _style(what: str, *, readable: bool) -> str:
    if not readable or what.endswith(_BAD):
        return "bold red"
    if what.endswith(_GOOD):
        return "bold green"
    return "yellow" if what.endswith(_ASKED) else "bold"


def _after(since: str) -> int | None:
    if since in ("", "all"):
        return 0 if since else None
    if not since.isdecimal() or int(since) < 1:
        raise ValueError(f"--since is {since!r}; it takes a sequence number from 1, or 'all'")
    return int(since) - 1


def _say_troubles() -> None:
    """The connection's own words (gone, back again) go to stderr, so that a pipe holds events only."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    logging.getLogger("benchwire.events.bus").setLevel(logging.INFO)
    logging.getLogger("nats").setLevel(logging.CRITICAL)


class _Out(Console):
    """rich would end the program with 1 when nobody reads any more, in the middle of everything."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


async def _tail(settings: NatsSettings, subjects: list[str], after: int | None) -> int:
    out = _Out(soft_wrap=True, highlight=False, markup=False, emoji=False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    waiting = False
    while True:
        try:
            async with connected(settings, name="benchwire-tail") as bus:
                after = await feed.newest(bus) if after is None else after
                async with feed.listening(bus, subjects, after=after) as heard:
                    logging.getLogger(__name__).warning("listening to %s at %s", " ".join(subjects), settings.nats_url)
                    interrupt.still_wanted()
                    while True:
                        one = await heard.next()
                        after = one.sequence or after
                        out.print(line(one))
        except (NatsUnreachable, NatsError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            if not waiting:
                logging.getLogger(__name__).warning("no NATS at %s; waiting for it", settings.nats_url)
            waiting = True
