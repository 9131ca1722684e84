"""Who is there: a key with a time to live in the bucket ``presence``, put again and again while its owner lives."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from benchwire.events.bus import PRESENCE, PRESENCE_TTL_S, Bus
from benchwire.events.event import token

log = logging.getLogger(__name__)

_BEAT_S = PRESENCE_TTL_S / 3
_KEYS = f"$KV.{PRESENCE}."


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """What one instance says of itself; ``state`` is ``healthy`` or the sentence that says what is wrong."""

    service: str
    name: str
    version: str
    pid: int
    state: str = "healthy"


class Presence:
    """Announces this instance, and tells who else is there."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: KeyValue | None = None

    async def _bucket(self) -> KeyValue:
        if self._known is None:  # looking it up asks the server
            self._known = await self._bus.js.key_value(PRESENCE)
        return self._known

    @contextlib.asynccontextmanager
    async def announced(self, present: Present) -> AsyncGenerator[None, None]:
        """Keeps ``present`` announced for the time of the context; leaving it takes it back at once."""
        key = _key(present.service, present.name)
        body = msgspec.json.encode(present)
        bucket = await self._bucket()
        await bucket.put(key, body)
        beating = asyncio.create_task(self._beat(bucket, key, body))
        try:
            yield
        finally:  # a cancel is the usual way to leave; it has to take the key back, too
            beating.cancel()
            await asyncio.wait([beating])
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                if self._bus.connected:
                    async with asyncio.timeout(1.0):
                        await bucket.delete(key)

    async def _beat(self, bucket: KeyValue, key: str, body: bytes) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            try:
                await bucket.put(key, body)
            except (NatsError, OSError, TimeoutError) as error:
                log.debug("%s was not announced this time: %r", key, error)

    async def is_there(self, service: str, name: str) -> bool:
        """Whether that instance was heard of within the last ``PRESENCE_TTL_S`` seconds."""
        try:
            await (await self._bucket()).get(_key(service, name))
        except KeyNotFoundError:
            return False
        return True

    async def everyone(self) -> list[Present]:
        """All instances that are there now."""
        bucket = await self._bucket()
        # Not the bucket's keys(): each call leaves a consumer in the server for five minutes.
        info = await self._bus.js.stream_info(f"KV_{PRESENCE}", subjects_filter=f"{_KEYS}>")
        there = []
        for key in (subject.removeprefix(_KEYS) for subject in info.state.subjects or {}):
            with contextlib.suppress(
                KeyNotFoundError, msgspec.MsgspecError
            ):  # gone by now, or of a writer we cannot read
                entry = await bucket.get(key)
                there.append(msgspec.json.decode(entry.value or b"", type=Present))
        return there


def _key(service: str, name: str) -> str:
    return f"{service}.{token(name, 'name')}"
