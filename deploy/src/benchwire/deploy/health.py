"""Looking at a part from outside, as its users would: is it there, and does it answer?"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self, assert_never

import httpx
import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from benchwire.boards.virtual.registry import read_records
from benchwire.client.http import bearer
from benchwire.deploy.parts import Announced, Health, PluggedIn, Served, WritesPorts
from benchwire.events import nats_health, nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.presence import Presence
from benchwire.events.settings import NatsSettings

_TIMEOUT_S = 3.0


class Examiner:
    """Answers what ails a part. ``connect`` has to come before parts that announce themselves are looked at."""

    def __init__(self, token: str = "") -> None:
        # The environment may name a proxy, and that one has no way to this machine's loopback.
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_S, headers=bearer(token), trust_env=False)
        self._bus: Bus | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(self._http)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def connect(self, settings: NatsSettings) -> None:
        """Opens the connection to NATS. Raises ``NatsUnreachable``."""
        self._bus = await self._open.enter_async_context(connected(settings, name="benchwire-up"))

    async def ailment(self, health: Health, pid: int) -> str:
        """What keeps the part with process ``pid`` from being healthy; empty when nothing does."""
        match health:
            case Served(url=url):
                return await self._served(url)
            case Announced():
                return await self._announced(health, pid)
            case WritesPorts(store=store):
                return await self._serves(store, pid)
            case PluggedIn():
                return _plugged_in(health, pid)
            case _:
                assert_never(health)

    async def is_stuck(self, health: Health, pid: int) -> bool:
        """Whether the part cannot get well by itself any more, and another start would help (see ``nats_health``)."""
        if not isinstance(health, WritesPorts):
            return False
        return await asyncio.to_thread(nats_health.is_stuck, await self.ailment(health, pid), health.store)

    async def _serves(self, store: Path, pid: int) -> str:
        if nats_server.ports_of(store, pid) is None:
            return "it does not listen yet"
        url = nats_server.monitoring_of(store, pid)
        try:
            return "" if url is None else await asyncio.to_thread(nats_health.ailment, url)
        except OSError:  # too busy, or frozen, and not broken for that
            return ""

    async def _served(self, url: str) -> str:
        try:
            answer = await self._http.get(url)
        except httpx.HTTPError as error:
            return f"{url} does not answer: {error or type(error).__name__}"
        return "" if answer.status_code == 200 else f"{url} answers {answer.status_code}"

    async def _announced(self, health: Announced, pid: int) -> str:
        if self._bus is None or not self._bus.connected:
            return "NATS cannot be reached"
        try:
            everyone = await Presence(self._bus).everyone()
        except (NatsError, JetStreamError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            return f"nobody's presence can be read: {error!r}"
        for one in everyone:
            if (one.service, one.name, one.pid) == (health.service, health.name, pid):
                return "" if one.state == "healthy" else one.state
        return "it has not announced itself"


def _plugged_in(health: PluggedIn, pid: int) -> str:
    try:
        records = read_records(health.directory)
    except msgspec.DecodeError as error:
        return f"its registration cannot be read: {error}"
    return "" if any((one.name, one.pid) == (health.name, pid) for one in records) else "it is not plugged in yet"
