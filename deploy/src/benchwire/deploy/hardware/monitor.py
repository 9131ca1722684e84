"""`benchwire monitor`: what a board prints, on whichever host it is; and a line to it now and then."""

import re
import sys
import threading
from datetime import UTC, datetime
from typing import Annotated

import typer

from benchwire.client import Lab, Listener, NoLab, Refused
from benchwire.deploy.ending import say, told
from benchwire.deploy.hardware.asked import BoardUrlOption, HostOption, JsonOption, LeaseOption, lab
from benchwire.deploy.story import json_text
from benchwire.events.journal import printable

Option = typer.Option


def monitor(  # noqa: PLR0917 - typer calls it by name
    device: Annotated[str, typer.Argument(metavar="DEVICE", help="The board's name, or its serial port.")],
    host: HostOption = None,
    until: Annotated[
        str | None, Option(metavar="REGEX", help="End with 0 when a line matches; with 1 when none came in time.")
    ] = None,
    timeout: Annotated[float | None, Option(metavar="S", help="End after so long.")] = None,
    times: Annotated[bool, Option("--times", "-t", help="Say when each line came.")] = False,
    write: Annotated[bool, Option("--write", "-w", help="Send what is typed, line by line.")] = False,
    lease: LeaseOption = None,
    json: JsonOption = False,
    url: BoardUrlOption = None,
) -> None:
    """Shows what a board prints until Ctrl-C; the flash agent keeps the port, so several can look at one board."""
    with told("monitor"):
        try:
            wanted = None if until is None else re.compile(until)
        except re.error as error:
            raise ValueError(f"--until: {error}") from error
        with lab(url) as there:
            found = there.device(device, host)  # a board that nobody knows would be listened to for ever
            device, host = found.device_id, found.host
            with there.listening(device, host) as listener:
                if write:
                    threading.Thread(target=_type, args=(there, device, host, lease), daemon=True).start()
                heard = _show(listener, wanted, timeout, times=times, json=json)
        if wanted is not None and not heard:
            say(f"benchwire monitor: no line with {until!r} came within {timeout:g} s")
            sys.exit(1)


def _show(
    listener: Listener, wanted: re.Pattern[str] | None, timeout_s: float | None, *, times: bool, json: bool
) -> bool:
    """Prints lines; whether the one that was wanted came."""
    for line in listener.heard(timeout_s=timeout_s):
        if line.lost_bytes:
            say(f"[{line.lost_bytes} bytes were lost here]")
        if json:
            print(json_text(line), flush=True)  # noqa: T201 - a command's own output
        else:
            at = f"{datetime.fromtimestamp(line.timestamp / 1000, UTC):%H:%M:%S.%f}"[:-3] + " " if times else ""
            print(at + printable(line.line), flush=True)  # noqa: T201
        if wanted is not None and wanted.search(line.line):
            return True
    return False


def _type(there: Lab, device: str, host: str | None, lease: str | None) -> None:
    for text in sys.stdin:
        try:
            there.write(device, host=host, text=text.rstrip("\n"), end="\r\n", lease_id=lease)
        except (NoLab, Refused) as error:
            say(f"benchwire monitor: {error}")
