"""Clients of a WebSocket that go and come again, each time with the place up to which they have heard."""

import asyncio
import contextlib
import json
import random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from ..invariants import Heard
from .ledger import Ledger

_OPEN_S = 20.0  # what was missed is told before anything else
_SILENT_S = 20.0  # a cable may be cut without a word, and a client that waits for ever would hear nothing more
_LONGEST_PAUSE_S = 1.0

# A frame about a session that changed is none of these: it tells of no fact by itself.
_TELLING = ("event", "fact", "document_created", "document_updated", "document_deleted")


async def listen(ledger: Ledger, heard: Heard, url: str, *, stays_s: float, done: asyncio.Event) -> None:
    """One client, until ``done``. It stays about ``stays_s`` each time, and leaves with a word or without."""
    chance = ledger.chance(heard.name)
    while not done.is_set():
        with contextlib.suppress(OSError, TimeoutError, WebSocketException):
            since = f"{url}?since={heard.place}"
            async with connect(since, open_timeout=_OPEN_S, close_timeout=0.5, max_size=None, proxy=None) as socket:
                heard.connections += 1
                await _hear(socket, heard, stays_s * chance.uniform(0.2, 2.0), chance)
        await asyncio.sleep(chance.uniform(0.05, _LONGEST_PAUSE_S))


async def _hear(socket: ClientConnection, heard: Heard, stays_s: float, chance: random.Random) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(stays_s):
            while True:
                async with asyncio.timeout(_SILENT_S):
                    take(heard, json.loads(await socket.recv()))
    if chance.random() < 0.5:
        socket.transport.abort()


def take(heard: Heard, frame: dict[str, Any]) -> None:
    """Notes one frame of ``/ws``, of either service."""
    if "seq" not in frame:
        return  # of no place in the log
    place = frame.get("place") or f"{frame['seq']}"
    sequence, _, part = place.partition(".")
    if frame["type"] in ("init", "resync"):
        heard.start_over(place, int(sequence))
        return
    heard.place = place
    heard.note((int(sequence), int(part or 0)), tells=frame["type"] in _TELLING)
