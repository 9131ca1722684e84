"""`benchwire up`: the whole lab on this machine, until it is told to stop."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from benchwire.deploy import interrupt
from benchwire.deploy.parts import Part, Site, parts_of
from benchwire.deploy.settings import Settings
from benchwire.deploy.site import CannotStart
from benchwire.deploy.supervisor import Change, running
from benchwire.events.event import IllegalToken
from benchwire.events.settings import InvalidSettings, load

Option = typer.Option

_ENV = "Environment: BENCHWIRE_"


def up(
    *,
    data: Annotated[Path | None, Option(help=f"Where everything is kept. {_ENV}DATA")] = None,
    observability_port: Annotated[int | None, Option(help=f"0 takes a free one. {_ENV}OBSERVABILITY_PORT")] = None,
    documents_port: Annotated[int | None, Option(help=f"0 takes a free one. {_ENV}DOCUMENTS_PORT")] = None,
    nats_port: Annotated[int | None, Option(help=f"0 takes a free one. {_ENV}NATS_PORT")] = None,
    nats_url: Annotated[str | None, Option(help=f"Use this server and start none. {_ENV}NATS_URL or NATS_URL")] = None,
    virtual: Annotated[
        list[str] | None, Option(help=f"A virtual board of this profile; repeatable. {_ENV}VIRTUAL")
    ] = None,
    cassette: Annotated[
        Path | None, Option(help=f"Play this in the place of a model, e.g. what `session record` made. {_ENV}CASSETTE")
    ] = None,
    host: Annotated[str | None, Option(help=f"This host's name in the lab. {_ENV}HOST")] = None,
) -> None:
    """Starts the whole lab on this machine and keeps it running until Ctrl-C."""
    given: dict[str, Any] = {
        "data": data, "observability_port": observability_port, "documents_port": documents_port, "nats_port": nats_port,
        "nats_url": nats_url, "virtual": virtual or None, "cassette": cassette, "host": host,
    }  # fmt: skip
    try:
        settings = msgspec.structs.replace(load(Settings), **{k: v for k, v in given.items() if v is not None})
    except InvalidSettings as error:
        sys.exit(_complain(CannotStart(str(error))))
    sys.exit(serve(settings))


def serve(settings: Settings, parts: Callable[[Site], list[Part]] = parts_of) -> int:
    """Runs a lab until SIGINT or SIGTERM; the exit code is 0 for an orderly end, 1 for a lab that could not start."""
    _log_to(settings.data / "logs" / "up.log")
    try:
        return interrupt.run(partial(_until_told, settings, parts), when_told=0)
    except (CannotStart, IllegalToken) as error:
        return _complain(error)


async def _until_told(settings: Settings, parts: Callable[[Site], list[Part]]) -> int:
    out = _Lines(soft_wrap=True, highlight=False, markup=False)
    async with running(settings, tell=_teller(out), parts=parts) as lab:
        _say_where(out, lab.site)
        try:
            await asyncio.Event().wait()
        finally:
            out.say("benchwire goes down")
    return 0


class _Lines(Console):
    """A console whose lines are seen at once; when nobody reads them any more (`up | head`, a closed terminal) the lab goes on."""

    def say(self, text: str, style: str | None = None) -> None:
        """Prints one line."""
        with contextlib.suppress(OSError):
            self.print(text, style=style)
            self.file.flush()

    def on_broken_pipe(self) -> None:
        """Instead of ending the process, as rich would."""
        self.quiet = True


def _teller(out: _Lines) -> Callable[[Change], None]:
    """Prints what a person should know: the misfortunes, and that they are over."""

    def tell(change: Change) -> None:
        match change.state:
            case "died":
                out.say(f"{change.part} {change.detail}", "yellow")
            case "unwell":
                out.say(f"{change.part} is unwell: {change.detail}", "yellow")
            case "given_up" if change.again or change.optional:
                out.say(f"{change.detail}; it is not started again", "red")
            case "healthy" if change.again:
                out.say(f"{change.part} is healthy again", "green")

    return tell


def _say_where(out: _Lines, site: Site) -> None:
    if site.settings.cassette is not None:
        out.say(f"no model is asked: what {site.settings.cassette} holds is played")
    elif site.model_url is not None:
        out.say("no model is configured (ANTHROPIC_API_KEY): the scripted model answers, which only knows the demo")
    out.say(
        f"benchwire is up: observability={site.observability_url} documents={site.documents_url} nats={site.nats_url} "
        f"data={site.data}"
    )


def _log_to(path: Path) -> None:
    """Warnings of the libraries go to a file, not between the lines for a person; it is made with the first of them."""
    file = logging.FileHandler(path, delay=True)
    logging.basicConfig(handlers=[file], level=logging.WARNING, format="%(asctime)s up %(levelname)s %(message)s")


def _complain(error: Exception) -> int:
    print(f"benchwire up: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
    if isinstance(error, CannotStart) and error.log is not None:
        for line in error.last_words:
            print(f"    {line}", file=sys.stderr)  # noqa: T201
        print(f"    (log: {error.log})", file=sys.stderr)  # noqa: T201
    return 1
