"""`benchwire session record` and `benchwire session replay`. The deck is imported when one is called: it needs the whole lab."""

from pathlib import Path
from typing import Annotated

import typer

from benchwire.deploy.client import UrlOption
from benchwire.deploy.hardware.asked import JsonOption

Option = typer.Option


def record(
    name: Annotated[str, typer.Argument(metavar="ID", help="A session that an agent of the lab ran, or a task.")],
    output: Annotated[Path | None, Option("--output", "-o", help="The file to write; stdout unless told.")] = None,
    nats_url: Annotated[
        str | None, Option(help="The lab's NATS server; only a task needs it.  [env: BENCHWIRE_NATS_URL, NATS_URL]")
    ] = None,
    url: UrlOption = None,
) -> None:
    """Makes a cassette of a session or a task: what the model said, and what tools and people did.

    What tools printed is in it as it stands in the log, with whatever secrets that held; look through it before you give it away.
    """
    from benchwire.deploy.recording import deck  # noqa: PLC0415

    deck.record(name, output, nats_url=nats_url, url=url)


def replay(  # noqa: PLR0917 - typer calls it by name
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `session record` made.")],
    lenient: Annotated[
        bool,
        Option(
            "--lenient", help="Pass over what tools printed: it is the same when the same ones ran, and worked or not."
        ),
    ] = False,
    virtual: Annotated[
        list[str] | None, Option(help="Plug in a virtual board of this profile; those of a task's nodes are there.")
    ] = None,
    data: Annotated[
        Path | None, Option(help="Keep the lab's data in this directory; a temporary one is removed at the end.")
    ] = None,
    timeout: Annotated[float, Option(metavar="S", help="Give up after so long.")] = 600.0,
    json: JsonOption = False,
) -> None:
    """Plays a cassette in a lab of its own, without a key, with the real tools, and says what is different.

    The exit code is 0 when it went as it was recorded, and 1 when it did not.
    """
    from benchwire.deploy.recording import deck  # noqa: PLC0415

    deck.replay(file, virtual or [], data, timeout_s=timeout, lenient=lenient, json=json)
