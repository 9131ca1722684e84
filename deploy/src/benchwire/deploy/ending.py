"""How commands end that were asked for one thing: with a sentence on stderr and an exit code."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from benchwire.client.errors import NoBoard, NoLab, Refused
from benchwire.deploy.interrupt import INTERRUPTED
from benchwire.events.journal import printable
from benchwire.events.settings import InvalidSettings


@contextmanager
def told(command: str, *failures: type[Exception]) -> Iterator[None]:
    """Ends the command with a sentence and a code: 1 when it did not work, 2 when it cannot be meant so.

    ``failures`` are further exceptions that mean that it did not work.
    """
    with suppress(ValueError):  # only a main thread hears of signals, and can say what they do
        # Each of them, because there may be a cursor, a lease or a job to give back.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
    not_working: tuple[type[Exception], ...] = (NoLab, NoBoard, *failures)
    try:
        yield
    except not_working as error:
        end(command, error, 1)
    except (InvalidSettings, ValueError) as error:
        end(command, error, 2)
    except BrokenPipeError:  # `read | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Refused as error:
        end(command, error, 2 if error.status_code == httpx.codes.BAD_REQUEST else 1)
    except OSError as error:
        end(command, f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def end(command: str, reason: Any, code: int) -> None:
    """Says why, and ends with ``code``."""
    say(f"benchwire {command}: {reason}")
    sys.exit(code)


def say(sentence: str) -> None:
    """One line for the person, beside what was asked for."""
    print("\n".join(map(printable, sentence.split("\n"))), file=sys.stderr)  # noqa: T201 - a command's own output
