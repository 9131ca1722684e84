"""`benchwire backup` and `benchwire restore`: a lab as one file, and back."""

import contextlib
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import psutil
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from benchwire.deploy import interrupt, lab_file
from benchwire.deploy.backup import making, restoring
from benchwire.deploy.backup.container import Manifest
from benchwire.deploy.backup.errors import NotDone
from benchwire.deploy.backup.making import Tell
from benchwire.deploy.ending import say, told
from benchwire.deploy.site import CannotStart, locked
from benchwire.deploy.tail import nats_settings
from benchwire.events import nats_server
from benchwire.events.bus import NatsUnreachable
from benchwire.events.settings import NatsSettings

_MIB = 1 << 20
_CONNECT_TIMEOUT_S = 15.0
_PATTERN = "benchwire-*.tar"
_TITLES = {"BENCH": "log", "OBJ_artifacts": "artifacts", "OBJ_snapshots": "snapshots"}

Option = typer.Option
UrlOption = Annotated[str | None, Option(help="The lab's NATS server.  [env: BENCHWIRE_NATS_URL, NATS_URL]")]
DataOption = Annotated[Path | None, Option(help="The data directory of a lab that runs here.")]


def backup(
    path: Annotated[
        Path, typer.Argument(help="The file to write, or a directory in which it gets a name with the time.")
    ],
    keep: Annotated[int, Option(min=0, help="In a directory: how many backups to keep; 0 is all of them.")] = 0,
    nats_url: UrlOption = None,
    data: DataOption = None,
) -> None:
    """Writes the whole lab to one file, while it goes on working: the log, the artifacts and the places of the queues."""
    with told("backup", NotDone, NatsUnreachable):
        if keep and not path.is_dir():
            raise ValueError(f"--keep is for a directory, and {path} is none")
        settings = _settings(nats_url, data)
        file = path / f"benchwire-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar" if path.is_dir() else path
        code = interrupt.run(lambda: _backup(settings, file))
        if keep and not code:
            _prune(path, keep)
        sys.exit(code)


def restore(
    path: Annotated[Path, typer.Argument(help="What `benchwire backup` wrote.")],
    nats_url: UrlOption = None,
    data: Annotated[
        Path | None,
        Option(
            help="A data directory on which no lab runs: the backup becomes the lab that `benchwire up` starts there."
        ),
    ] = None,
) -> None:
    """Brings a backup back into an empty lab. NATS has to run, or --data say where it will; no service may."""
    with told("restore", NotDone, NatsUnreachable, CannotStart, nats_server.ServerNotStarted):
        if nats_url is None and data is not None and lab_file.read(data) is None:
            sys.exit(interrupt.run(lambda: _restore_at_rest(data, path)))
        settings = _settings(nats_url, data)
        sys.exit(interrupt.run(lambda: _restore(settings, path)))


def _settings(nats_url: str | None, data: Path | None) -> NatsSettings:
    """Where NATS is. Nobody looks on at night, so a busy server is waited for."""
    return msgspec.structs.replace(nats_settings(nats_url, data, os.environ), nats_connect_timeout_s=_CONNECT_TIMEOUT_S)


async def _backup(settings: NatsSettings, path: Path) -> int:
    with _shown() as tell:
        manifest = await making.made(settings, path, tell)
    say(f"{path}: {_told(manifest)}; {sum(one.size_bytes for one in manifest.members) / _MIB:.1f} MiB")
    return 0


def _prune(directory: Path, keep: int) -> None:
    """Removes all but the newest backups, and what killed ones left. Their names have the time, so the oldest come first."""
    for draft in directory.glob(f".{_PATTERN}.*"):
        if draft.suffix[1:].isdigit() and not psutil.pid_exists(int(draft.suffix[1:])):
            draft.unlink()
    for old in sorted(directory.glob(_PATTERN))[:-keep]:
        old.unlink()
        say(f"{old}: removed")


async def _restore(settings: NatsSettings, path: Path) -> int:
    with _shown() as tell:
        done = await restoring.restored(settings, path, tell)
    say(
        f"restored {path} of {done.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC: {_told(done.manifest)}; the services can be started"
    )
    if done.incomplete:
        say(f"{done.incomplete} artifacts had lost bytes before they were backed up")
    return 0


async def _restore_at_rest(data: Path, path: Path) -> int:
    """With a NATS server of its own, for as long as it takes."""
    with locked(data):
        async with nats_server.running(data / "nats") as server:
            return await _restore(NatsSettings(nats_url=server.url), path)


def _told(manifest: Manifest) -> str:
    log, artifacts = manifest.log.head, manifest.artifacts.head
    events = f"{log.state['messages']} events up to {log.last_sequence}"
    return f"{events}, {artifacts.stored_bytes / _MIB:.1f} MiB of artifacts, {len(manifest.queues)} queues"


@contextlib.contextmanager
def _shown() -> Iterator[Tell]:
    """Shows how far it is: a bar on a terminal, a line for each part elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def tell(part: str, done: int, total: int) -> None:
            title = _TITLES.get(part, part)
            if part not in bars:
                bars[part] = progress.add_task(title, total=total)
                if not console.is_terminal:
                    say(f"{title} …")
            progress.update(bars[part], completed=done, total=max(done, total))

        yield tell
