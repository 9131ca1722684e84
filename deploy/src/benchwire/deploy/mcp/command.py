"""The command: which lab is meant, and over what it is offered."""

import asyncio
import os
import signal
from functools import partial
from typing import Annotated

import typer

from benchwire.client import documents, lab
from benchwire.deploy import lab_file
from benchwire.deploy.ending import told
from benchwire.deploy.settings import Settings
from benchwire.events import journal
from benchwire.events.settings import load
from benchwire.mcp import server
from benchwire.mcp.reach import Addresses, Reach

_NAME = "mcp"

Option = typer.Option


def mcp(  # noqa: PLR0917 - typer calls it by name
    over_http: Annotated[bool, Option("--http", help="Serve streamable HTTP; without it, this program's own client on stdin and stdout.")] = False,
    host: Annotated[str, Option(help="With --http: where to listen; other than loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="With --http: 0 takes a free one.")] = 8767,
    allow_host: Annotated[list[str] | None, Option(metavar="NAME", help="With --http: a name that clients call this machine by; repeatable.")] = None,
    url: Annotated[str | None, Option("--url", help="The lab's address; that of the lab that runs here unless told.")] = None,
    documents_url: Annotated[str | None, Option(help="The document store's address; that of the lab that runs here unless told.")] = None,
) -> None:  # fmt: skip
    """Offers the lab to other agents as an MCP server: tasks, sessions, boards, flashing, documents.

    Over stdio calls have the token in BENCHWIRE_TOKEN; over HTTP each has the one that its caller sends, and may do what that may.
    """
    where = partial(addresses, url, documents_url)
    if over_http:
        from benchwire.deploy.mcp import over_http as http  # noqa: PLC0415 - over stdio nobody waits for a web framework
        from benchwire.events import service  # noqa: PLC0415

        service.run(_NAME, lambda: http.served(where, load(Settings), host=host, port=port, names=allow_host or []))
        return
    with told(_NAME):
        where()  # settings that cannot be used are told now, and not to the first agent that calls
        _on_stdio(Reach(where, token=os.environ.get("BENCHWIRE_TOKEN", "")))


def addresses(url: str | None, documents_url: str | None) -> Addresses:
    """As told, else of the lab that runs on the data directory here, else as the environment says. Raises ``InvalidSettings``.

    The documents of the lab here are not those of a lab that was named: ``documents`` is empty then, unless it is told, too.
    """
    here = lab_file.read(load(Settings).data)
    of_lab = here.observability_url if here else os.environ.get("BENCHWIRE_URL")
    of_documents = here.documents_url if here else os.environ.get("BENCHWIRE_DOCUMENTS_URL")
    if url and not (here and url.rstrip("/") == here.observability_url):
        return Addresses(url, documents_url or os.environ.get("BENCHWIRE_DOCUMENTS_URL", ""))
    return Addresses(of_lab or lab.DEFAULT_URL, documents_url or of_documents or documents.DEFAULT_URL)


def _on_stdio(reach: Reach) -> None:
    """Serves until stdin ends. stdout is the protocol's; what there is to say goes to stderr."""
    journal.begun(_NAME, {"BENCHWIRE_LOG_LEVEL": "WARNING", **os.environ})
    for number in (signal.SIGINT, signal.SIGTERM):  # a thread reads stdin, and nothing else wakes it up
        signal.signal(number, signal.SIG_DFL)
    asyncio.run(server.made(reach).run_stdio_async())
