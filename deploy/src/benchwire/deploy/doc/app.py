"""The commands of `benchwire doc`. What was asked for goes to stdout, everything else to stderr."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import httpx
import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from benchwire.client.documents import DEFAULT_URL, Documents
from benchwire.client.errors import Damaged, Refused
from benchwire.deploy import lab_file
from benchwire.deploy.doc import lines, pulling
from benchwire.deploy.ending import say, told
from benchwire.deploy.settings import Settings
from benchwire.deploy.story import json_text
from benchwire.events.settings import load

_CHANGE_TRIES = 5

app = typer.Typer(help="Documents: push, pull, search.", no_args_is_help=True)

Option = typer.Option
UrlOption = Annotated[
    str | None,
    Option("--url", help=f"The document store's address; that of the lab that runs here, else {DEFAULT_URL}."),
]
IdArgument = Annotated[str, typer.Argument(metavar="ID")]
JsonOption = Annotated[bool, Option("--json", help="Print JSON.")]


@app.command()
def push(  # noqa: PLR0917 - typer calls it by name
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The file; - reads stdin.")],
    tag: Annotated[list[str] | None, Option(help="A tag; can be given more than once.")] = None,
    name: Annotated[str | None, Option(help="The document's file name; that of the file unless told.")] = None,
    meta: Annotated[list[str] | None, Option(metavar="K=V", help="Metadata; can be given more than once.")] = None,
    expires: Annotated[str, Option(metavar="TIME", help="Keep it until then, e.g. 2030-01-31T12:00:00Z.")] = "",
    url: UrlOption = None,
) -> None:
    """Stores a file as a document and prints its id."""
    with _told("push"):
        if file == "-" and not name:
            raise ValueError("what comes from stdin has no name; give one with --name")
        fields = {"tags": ",".join(tag or []), "metadata": msgspec.json.encode(_metadata(meta or [])).decode()}
        if expires:
            fields["expires_at"] = expires
        with _store(url) as store, _input(file) as (source, size), _progress(name or file, size) as on_bytes:
            made = store.push(source, name or Path(file).name, fields, on_bytes)
        print(made["id"])  # noqa: T201 - a command's own output


@app.command()
def pull(
    document_id: IdArgument,
    output: Annotated[
        str | None,
        Option("--output", "-o", metavar="FILE|-", help="Where to; the document's own name unless told, - is stdout."),
    ] = None,
    force: Annotated[bool, Option("--force", "-f", help="Replace a file that is there.")] = False,
    url: UrlOption = None,
) -> None:
    """Fetches a document. What broke off goes on where it was; what arrived is checked."""
    with _told("pull"), _store(url) as store:
        document, _ = store.one(document_id)
        if output == "-":
            with _progress(document["filename"], document["size_bytes"]) as on_bytes:
                pulling.to_stream(store, document, sys.stdout.buffer, on_bytes)
            return
        target = pulling.target(output, document)
        if target.exists() and not force:
            raise ValueError(f"{target} is there already; --force replaces it")
        with _progress(document["filename"], document["size_bytes"]) as on_bytes:
            pulling.to_file(store, document, target, on_bytes)
        print(target)  # noqa: T201


@app.command()
def query(  # noqa: PLR0917 - typer calls it by name
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="Words that the documents hold.")] = "",
    tag: Annotated[list[str] | None, Option(help="A tag they have; all, when given more than once.")] = None,
    name: Annotated[str, Option(help="A part of the file name.")] = "",
    limit: Annotated[int, Option(min=1, max=1000)] = 50,
    json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Lists documents, the newest first; with TEXT those that hold it, the best first."""
    with _told("query"), _store(url) as store:
        asked = {"q": text, "tags": ",".join(tag or []), "filename": name, "limit": str(limit)}
        found, total = store.found({key: value for key, value in asked.items() if value})
        for one in found:
            print(json_text(one) if json else lines.of_list(one))  # noqa: T201
        if total > len(found) and not json:
            say(f"{len(found)} of {total}; --limit shows more")


@app.command()
def info(document_id: IdArgument, json: JsonOption = False, url: UrlOption = None) -> None:
    """Shows what is known of a document, and what hangs together with it."""
    with _told("info"), _store(url) as store:
        document, _ = store.one(document_id)
        shown = msgspec.json.format(json_text(document)) if json else lines.of_one(document)
        print(shown)  # noqa: T201


@app.command()
def read(
    document_id: IdArgument,
    offset: Annotated[int, Option(min=0, help="The first character.")] = 0,
    limit: Annotated[int | None, Option(min=0, help="How many characters.")] = None,
    url: UrlOption = None,
) -> None:
    """Prints a text, or a part of it."""
    with _told("read"), _store(url) as store:
        for piece in store.text(document_id, offset, limit):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


@app.command(context_settings={"ignore_unknown_options": True})
def tag(
    document_id: IdArgument,
    changes: Annotated[list[str], typer.Argument(metavar="+TAG|-TAG...", help="Tags to add and to take away.")],
    url: UrlOption = None,
) -> None:
    """Changes the tags of a document, and prints them."""
    with _told("tag"):
        for one in changes:
            if one[:1] not in ("+", "-") or not one[1:]:
                raise ValueError(f"{one!r} is neither +TAG nor -TAG")
        with _store(url) as store:
            print(" ".join(_tagged(store, document_id, changes)))  # noqa: T201


@app.command()
def rm(
    document_ids: Annotated[list[str], typer.Argument(metavar="ID...")],
    url: UrlOption = None,
) -> None:
    """Deletes documents."""
    failed = False
    with _told("rm"), _store(url) as store:
        for one in document_ids:
            try:
                store.remove(one)
            except Refused as error:
                failed = True
                say(f"benchwire doc rm: {error}")
    if failed:
        sys.exit(1)


def _tagged(store: Documents, document_id: str, changes: list[str]) -> list[str]:
    """The tags after ``changes``; somebody else's changes at the same time stay. Raises ``NoLab`` and ``Refused``."""
    tries = _CHANGE_TRIES
    while True:
        document, version = store.one(document_id)
        tags = dict.fromkeys(document["tags"])
        for one in changes:
            tags = {**tags, one[1:]: None} if one[0] == "+" else {key: None for key in tags if key != one[1:]}
        try:
            return list(store.change(document_id, {"tags": list(tags)}, version)["tags"])
        except Refused as error:
            tries -= 1
            if error.status_code != httpx.codes.PRECONDITION_FAILED or tries == 0:
                raise


def _store(url: str | None) -> Documents:
    """The store at ``url``, else that of the lab that runs on the data directory here, else the default. Raises ``InvalidSettings``."""
    lab = lab_file.read(load(Settings).data)
    address = url or (lab.documents_url if lab else DEFAULT_URL)
    return Documents(address, os.environ.get("BENCHWIRE_TOKEN", ""))


def _metadata(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise ValueError(f"--meta is {pair!r}; it takes KEY=VALUE")
    return dict(pair.split("=", 1) for pair in pairs)


@contextmanager
def _input(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    if file == "-":
        yield sys.stdin.buffer, None
        return
    with Path(file).open("rb") as source:
        yield source, os.fstat(source.fileno()).st_size


@contextmanager
def _progress(name: str, size_bytes: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, when a person looks at it."""
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(lines.shown(name, 40), total=size_bytes)
        yield lambda count: bars.advance(task, count)


def _told(command: str) -> AbstractContextManager[None]:
    return told(f"doc {command}", Damaged)
