"""`benchwire flash`: an image onto a board, wherever that is plugged in."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from benchwire.client import FlashFailed, Job, Lab, Refused, verified
from benchwire.client.records import Frame
from benchwire.deploy.ending import say, told
from benchwire.deploy.hardware.asked import (
    BoardUrlOption,
    DeviceOption,
    HostOption,
    JsonOption,
    LabelOption,
    LeaseOption,
    ProfileOption,
    image,
    lab,
    labels,
)
from benchwire.deploy.interrupt import INTERRUPTED
from benchwire.deploy.story import json_text, shown, size

_CANCEL_WAIT_S = 15.0

Option = typer.Option


def flash(  # noqa: PLR0917 - typer calls it by name
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE[@ADDRESS]...", help="bin, hex, elf or uf2; several go to their addresses."),
    ],
    device: DeviceOption = None,
    host: HostOption = None,
    profile: ProfileOption = None,
    label: LabelOption = None,
    partition: Annotated[str | None, Option(help="Into this partition of the board's partition table.")] = None,
    format_: Annotated[
        str | None, Option("--format", help="bin, hex, elf or uf2; the content tells unless told.")
    ] = None,
    erase: Annotated[bool, Option("--erase", help="Erase the whole chip first.")] = False,
    stub: Annotated[bool, Option("--stub/--no-stub", help="ESP: with esptool's loader, or the chip's own.")] = True,
    compress: Annotated[bool, Option("--compress/--no-compress", help="ESP: send compressed data.")] = True,
    flash_size: Annotated[str, Option(help="ESP: what the image's header says, e.g. 4MB.")] = "keep",
    flash_mode: Annotated[str, Option(help="ESP: what the image's header says, e.g. dio.")] = "keep",
    limit: Annotated[int | None, Option(min=1, metavar="BYTES/S", help="Write no faster.")] = None,
    priority: Annotated[int, Option(min=-10, max=10, help="Higher goes first in the board's queue.")] = 0,
    retries: Annotated[int, Option(min=0, max=5, help="How often it may be tried again.")] = 0,
    timeout: Annotated[float | None, Option(metavar="S", help="Give up after so long.")] = None,
    lease: LeaseOption = None,
    wait: Annotated[bool, Option("--wait/--no-wait", help="Wait for the end, or print the job's id only.")] = True,
    json: JsonOption = False,
    url: BoardUrlOption = None,
) -> None:
    """Flashes a board and waits until the image is there, verified. The exit code is 0 only then. Ctrl-C cancels the job."""
    with told("flash", FlashFailed):
        if device is None and profile is None and not label:
            raise ValueError("which board? give --device, or what it has to be like with --profile or --label")
        options = {
            "erase": "chip" if erase else "needed", "flash_size": flash_size, "flash_mode": flash_mode,
            "compress": compress, "stub": stub,
        }  # fmt: skip
        asked = {
            "device_id": device, "host": host, "profile": profile, "labels": labels(label), "partition": partition,
            "format": format_, "options": options, "max_bytes_per_s": limit, "priority": priority, "retries": retries,
            "timeout_s": timeout, "lease_id": lease,
        }  # fmt: skip
        images = [image(file) for file in files]
        with lab(url) as there:
            job = there.start_flash(images, **asked)
            if not wait:
                print(json_text(job) if json else job.job_id)  # noqa: T201 - a command's own output
                return
            _see_through(there, job, json=json)


def _see_through(there: Lab, job: Job, *, json: bool) -> None:
    try:
        with _told_to_person(job, quiet=json) as tell:
            for frame in there.watch(job.job_id):
                if json:
                    print(json_text(frame), flush=True)  # noqa: T201
                tell(frame)
    except KeyboardInterrupt:
        sys.exit(_cancelled(there, job))
    job = there.job(job.job_id)
    if json:
        print(json_text(job))  # noqa: T201
    verified(job)
    if not json:
        took = f" in {job.duration:.1f} s" if job.duration is not None else ""
        print(f"{job.device_id} on {job.host}: {size(job.total_bytes)}{took}, verified by {job.verified_by}")  # noqa: T201


def _cancelled(there: Lab, job: Job) -> int:
    """Somebody pressed Ctrl-C: a job without a person to wait for it is not wanted."""
    try:
        there.steer(job.job_id, "cancel")
    except Refused as error:  # it is over
        say(f"benchwire flash: {error}")
        return INTERRUPTED
    end = time.monotonic() + _CANCEL_WAIT_S
    while not (job := there.job(job.job_id)).is_over and time.monotonic() < end:
        time.sleep(0.2)
    holds = f"; the flash of {job.device_id} is {job.flash_state.replace('_', ' ')}" if job.flash_state else ""
    say(f"benchwire flash: {job.job_id} is {job.status}{holds}")
    return INTERRUPTED


class _Bars:
    """A bar for the stage that the job is in."""

    def __init__(self, progress: Progress, job: Job) -> None:
        self._progress = progress
        self._name = shown(f"{job.device_id} on {job.host}", 40)
        self._bar: TaskID = progress.add_task(f"{self._name} queued", total=100.0, note="")

    def __call__(self, frame: Frame) -> None:
        """Shows what a frame tells."""
        kind = str(frame.get("type", "")).removeprefix("flash_")
        if kind == "progress":
            done, total = frame["bytesTransferred"], frame["totalBytes"]
            speed = frame.get("transferSpeed")
            note = f"{size(done)} of {size(total)}" + (f", {size(speed)}/s" if speed else "")
            words = f"{self._name} {shown(frame['stage'], 20)}"
            self._progress.update(self._bar, description=words, completed=frame["progress"], note=note)
        elif kind in _SAID:
            self._progress.update(self._bar, description=f"{self._name} {_SAID[kind]}")
        if frame.get("error"):
            self._progress.console.print(shown(f"{kind}: {frame['error']}", 200), markup=False)


_SAID: dict[str, str] = {
    "queued": "waits for its board", "started": "connecting", "paused": "paused", "resumed": "goes on", "retried": "tries again",
}  # fmt: skip


@contextmanager
def _told_to_person(job: Job, *, quiet: bool) -> Iterator[Any]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        yield _Bars(progress, job)
