"""The deck that cassettes are recorded and played with, on a terminal or in a pipe."""

import asyncio
import contextlib
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from nats.errors import Error as NatsError

from benchwire.deploy import interrupt
from benchwire.deploy.calling import above_zero, called, print_json
from benchwire.deploy.client import Client
from benchwire.deploy.ending import say, told
from benchwire.deploy.hardware.asked import console
from benchwire.deploy.recording import NotRecordable, comparing, fetching, replaying
from benchwire.deploy.scripted import cassette as cassettes
from benchwire.deploy.scripted.cassette import Cassette
from benchwire.deploy.session.conversation import lines
from benchwire.deploy.session.following import Seen
from benchwire.deploy.site import CannotStart
from benchwire.deploy.tail import nats_settings
from benchwire.deploy.task.telling import line
from benchwire.events.bus import NatsUnreachable
from benchwire.events.log import LogUnavailable

_FAILURES = (NotRecordable, NatsUnreachable, NatsError, LogUnavailable)


def record(name: str, output: Path | None, *, nats_url: str | None, url: str | None) -> None:
    """Writes the cassette of a session or task, and ends the program."""

    async def asked(client: Client) -> int:
        if await client.session(name) is not None:
            made = await fetching.of_session_id(client, name)
        else:
            await client.task(name)
            made = await fetching.of_task_id(nats_settings(nats_url, None, os.environ), name)
        _write(made, output)
        say(
            f"{comparing.size_of(made)} of {name}; what tools printed is in it as the log has it: look for secrets before you pass it on"
        )
        return 0

    called("session record", url, asked, *_FAILURES)


def replay(file: Path, virtual: list[str], data: Path | None, *, timeout_s: float, lenient: bool, json: bool) -> None:
    """Plays the cassette in ``file``, and ends the program: with 0 when it went as it was recorded."""
    with told("session replay", CannotStart, *_FAILURES):
        recorded = cassettes.load(file)
        replaying.playable(recorded)
        above_zero(timeout_s, "--timeout")
        sys.exit(interrupt.run(lambda: _replayed(recorded, virtual, data, timeout_s, lenient=lenient, json=json)))


async def _replayed(
    recorded: Cassette, virtual: list[str], data: Path | None, timeout_s: float, *, lenient: bool, json: bool
) -> int:
    logging.basicConfig(level=logging.CRITICAL)  # what goes wrong is told in the command's own words
    say(f"plays {recorded.about}: {comparing.size_of(recorded)}")
    with contextlib.ExitStack() as stack:
        folder = data or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="bw-", ignore_cleanup_errors=True))
        )
        patience = asyncio.timeout(timeout_s)
        try:
            async with patience:
                played = await replaying.played(
                    recorded, folder, virtual=virtual, environment=os.environ,
                    show=lambda one: _show(one, json=json), frame=lambda one: _frame(one, json=json),
                )  # fmt: skip
        except TimeoutError:
            if not patience.expired():
                raise
            say(f"benchwire session replay: it did not end within {timeout_s:g} s")
            return 1
    found = comparing.differences(recorded, played, lenient=lenient)
    if json:
        print_json({"same": not found, "differences": found})
    for one in [] if json else found:
        console().print(one)
    say("it went another way than it was recorded" if found else "it went as it was recorded")
    return 1 if found else 0


def _show(one: Seen, *, json: bool) -> None:
    if json:
        print_json(one.told)
    elif one.event is not None:
        for text in lines(one.event):
            console().print(text)


def _frame(frame: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(frame)
    elif text := line(frame, named=True):
        console().print(text)


def _write(made: Cassette, output: Path | None) -> None:
    body = cassettes.dumped(made)
    if output is None:
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        draft.write_bytes(body)
        draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
