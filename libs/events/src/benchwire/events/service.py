"""What every service's ``main`` does: settings, logging, an orderly end on SIGTERM, and one clear line when it cannot start."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchwire.events import child, heap, journal, tracing
from benchwire.events.bus import NatsUnreachable
from benchwire.events.event import IllegalToken
from benchwire.events.follow import StreamReplaced
from benchwire.events.projection import ProjectionDamaged, ProjectionInUse
from benchwire.events.settings import InvalidSettings
from benchwire.events.sole import NameTaken

CANNOT_START = 78  # EX_CONFIG of sysexits.h: trying again without a change is of no use
_CANCEL_AGAIN_S = 1.0
_REASONS = (InvalidSettings, IllegalToken, ProjectionInUse, NameTaken)
_PASSING = (NatsUnreachable, StreamReplaced, ProjectionDamaged, OSError)  # another start may do better


def version_of(distribution: str) -> str:
    """The installed version of a member of this workspace; 0.0.0 where it runs without being installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0.0.0"  # nats.micro takes no other shape


def ready() -> None:
    """Tells systemd that the service is up, where a unit with ``Type=notify`` started it; what it starts itself is not to say that again."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifying:
            notifying.sendto(b"READY=1", f"\0{address[1:]}" if address.startswith("@") else address)


def run(name: str, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs ``serve`` until it returns or SIGTERM or SIGINT cancels it; then exits with 0, or with the reason on stderr and 1 or 78."""
    if os.environ.get("BENCHWIRE_DIE_WITH_PARENT"):
        child.die_with_owner()
    try:
        journal.begun(name, os.environ)
        heap.lean()
        with tracing.exported(name, os.environ):
            asyncio.run(_until_told(serve))
    except BaseExceptionGroup as group:
        _give_up(name, _first(group))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said in the same form as the rest
        _give_up(name, error)


async def _until_told(serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
    serving = asyncio.create_task(serve())
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    while not serving.done():
        # Again, because in Python 3.11 a cancel that arrives together with the result of a wait_for() is lost.
        serving.cancel()
        await asyncio.wait([serving], timeout=_CANCEL_AGAIN_S)
    if not (told.is_set() and serving.cancelled()):
        serving.result()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _give_up(name: str, error: BaseException) -> None:
    known = isinstance(error, (*_REASONS, *_PASSING))
    logging.getLogger(name).critical("%s", error, exc_info=None if known else error)
    sys.exit(CANNOT_START if isinstance(error, _REASONS) else 1)
