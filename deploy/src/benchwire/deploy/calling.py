"""Commands that ask a lab for one thing: with a client, until they are done or a person has had enough."""

import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from benchwire.deploy import interrupt
from benchwire.deploy.client import Client, found
from benchwire.deploy.ending import told
from benchwire.deploy.story import json_text

STANDARD = "-"
TERMINATED = 143  # what a shell reports for a program that SIGTERM ended: it did not fail, somebody wanted it to end


def called(command: str, url: str | None, ask: Callable[[Client], Awaitable[int]], *failures: type[Exception]) -> None:
    """Ends the program with the exit code of ``ask``, which gets the lab; its errors are told as ``ending.told`` does."""

    async def asked() -> int:
        async with found(url) as client:
            return await ask(client)

    with told(command, *failures):
        sys.exit(interrupt.run(asked))


def text_of(command: str, words: str) -> str:
    """What was written on the command line, or on stdin for ``-``; the program ends when that is nothing.

    It is read before anything else: a read of stdin in a thread would outlive Ctrl-C.
    """
    text = ""
    with told(command):
        text = sys.stdin.read() if words == STANDARD else words
        if not text.strip():
            raise ValueError("there is no text; say it, or give - and write it on stdin")
    return text


def above_zero(value: float | None, option: str) -> float | None:
    """The number that was given for ``option``, or None. Raises ``ValueError`` for what is no time and no money: 0, less, ``nan``, ``inf``."""
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{option} is {value:g}; it takes a number above 0")
    return value


def print_json(value: Any) -> None:
    """One line of JSON."""
    print(json_text(value), flush=True)  # noqa: T201 - a command's own output
