"""`benchwire export` and `benchwire import`: a session as a file, out of one lab and into another."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn

from benchwire.client.errors import NoLab, Refused
from benchwire.deploy import interrupt
from benchwire.deploy.client import Client, UrlOption, found
from benchwire.deploy.ending import say
from benchwire.deploy.story import shown
from benchwire.events.settings import InvalidSettings

_CHUNK_BYTES = 64 * 1024
_STANDARD = "-"

Option = typer.Option


class _Head(msgspec.Struct):
    events: int


def export(
    session_id: Annotated[str, typer.Argument(metavar="ID", help="The session.")],
    output: Annotated[Path | None, Option("--output", "-o", help="The file to write; stdout unless told.")] = None,
    url: UrlOption = None,
) -> None:
    """Writes a session with all of its events, one line of JSON each; needs a running lab."""
    client = _client("export", url)
    sys.exit(interrupt.run(lambda: _export(client, session_id, output)))


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `benchwire export` wrote; - is stdin.")],
    session_id: Annotated[str | None, Option(help="Another id for the session, when the file has one only.")] = None,
    prefix: Annotated[str | None, Option(help="What goes before the ids of all sessions of the file.")] = None,
    url: UrlOption = None,
) -> None:
    """Takes sessions from a file into a lab that runs. Repeated, it adds what is missing; nothing is run."""
    client = _client("import", url)
    try:
        source = sys.stdin.buffer if file == _STANDARD else Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        sys.exit(_complain("import", f"{file}: {error.strerror}", 2))
    with source:
        sys.exit(interrupt.run(lambda: _import(client, source, session_id, prefix)))


def _client(command: str, url: str | None) -> Client:
    try:
        return found(url)
    except InvalidSettings as error:
        sys.exit(_complain(command, str(error), 2))


async def _export(client: Client, session_id: str, output: Path | None) -> int:
    try:
        async with client:
            with _written(output) as out:
                count = await _exported(client, session_id, out)
    except (NoLab, Refused) as error:
        return _complain("export", str(error), 1)
    except BrokenPipeError:  # `export | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain("export", f"{output or 'stdout'}: {error.strerror}", 1)
    Console(stderr=True, highlight=False).print(f"{count} events of {session_id}", markup=False)
    return 0


async def _exported(client: Client, session_id: str, out: BinaryIO) -> int:
    """Writes the lines; how many events they are. Raises ``NoLab`` when it was not all."""
    head, lines, promised = b"", 0, -1
    with _progress(MofNCompleteColumn()) as progress:
        bar = progress.add_task("events", total=None)
        async with contextlib.aclosing(client.exported(session_id)) as chunks:
            async for chunk in chunks:
                out.write(chunk)
                lines += chunk.count(b"\n")
                if promised < 0:
                    head += chunk
                    if b"\n" in head:
                        promised = msgspec.json.decode(head.partition(b"\n")[0], type=_Head).events
                progress.update(bar, completed=max(0, lines - 1), total=promised if promised >= 0 else None)
    if lines - 1 != promised:
        raise NoLab(f"{max(0, lines - 1)} of {promised} events came; the lab broke off")
    return promised


@contextlib.contextmanager
def _written(output: Path | None) -> Iterator[BinaryIO]:
    """Where the lines go; a file that has its name is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with draft.open("wb") as out:
            yield out
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)


async def _import(client: Client, source: BinaryIO, session_id: str | None, prefix: str | None) -> int:
    try:
        async with client:
            with _progress(DownloadColumn()) as progress:
                told = await client.import_sessions(_chunks(source, progress), session_id=session_id, prefix=prefix)
    except (NoLab, Refused) as error:
        return _complain("import", str(error), 1)
    out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    for one in told["sessions"]:
        origin = one["imported_from"]
        named = "" if origin == one["session_id"] else f", which was {shown(origin)}"
        out.print(f"{shown(one['session_id'])}{named}: {one['events']} new events")
    if told["repeated"]:
        out.print(f"{told['repeated']} were here already")
    for one in told["errors"]:
        _complain("import", f"line {one['line']}: {one['detail']}", 1)
    if told["rejected"] > len(told["errors"]):
        _complain("import", f"{told['rejected'] - len(told['errors'])} more lines did not land", 1)
    return 1 if told["rejected"] else 0


async def _chunks(source: BinaryIO, progress: Progress) -> AsyncGenerator[bytes, None]:
    bar = progress.add_task("read", total=_size(source))
    while chunk := await asyncio.to_thread(source.read, _CHUNK_BYTES):
        yield chunk
        progress.advance(bar, len(chunk))


def _size(source: BinaryIO) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return os.fstat(source.fileno()).st_size or None
    return None


def _progress(counted: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), counted)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _complain(command: str, reason: str, code: int) -> int:
    say(f"benchwire {command}: {reason}")
    return code
