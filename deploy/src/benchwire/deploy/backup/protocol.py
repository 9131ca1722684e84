"""JetStream's own snapshot and restore of a stream: chunks in both directions, each acknowledged before more than a window follows.

What a snapshot holds is nats-server's affair (2.15: its ADR-63); the stream's configuration comes beside it. Sequences, times and headers
stay. The queues of a stream are left out: how far they are is read and set by ``queues``.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from benchwire.deploy.backup.errors import NotDone
from benchwire.events.bus import Bus

CHUNK_BYTES = 512 * 1024
OLDEST_SERVER = (2, 15)
_API = "$JS.API"
_ANSWER_S = 10.0
_SILENT_S = 15.0  # nats-server gives up on a side that says nothing for 5 s
_LAST_ANSWER_S = 120.0  # a cluster agrees on the whole stream
_NO_STORAGE = (10002, 10023, 10028, 10047, 10077)  # nats-server's errors about memory, storage and resources
_DONE = (None, "204")


class Head(msgspec.Struct, frozen=True):
    """What comes beside the bytes of a snapshot: how the stream is configured, and from where to where it went at that moment."""

    config: dict[str, Any]
    state: dict[str, Any]

    @property
    def last_sequence(self) -> int:
        """The sequence of the last message that belongs to it."""
        return int(self.state["last_seq"])

    @property
    def stored_bytes(self) -> int:
        """About how much the messages take in a server's store."""
        return int(self.state["bytes"])


class _Trouble(msgspec.Struct, frozen=True):
    description: str = "no reason given"
    err_code: int = 0


class _Answer(msgspec.Struct, frozen=True):
    error: _Trouble | None = None
    config: dict[str, Any] = {}
    state: dict[str, Any] = {}
    deliver_subject: str = ""


def check_server(bus: Bus) -> str:
    """The server's version. Raises ``NotDone`` for one that is too old."""
    version = bus.nc.connected_server_version
    if (version.major, version.minor) < OLDEST_SERVER:
        least = ".".join(map(str, OLDEST_SERVER))
        raise NotDone(f"the NATS server is {version.major}.{version.minor}; backups need {least} or newer")
    return f"{version.major}.{version.minor}.{version.patch}"


def name_of(bus: Bus) -> str:
    """What the server's cluster is called, or the server, where it is alone."""
    info = bus.nc._server_info  # noqa: SLF001 - nats-py has no public one
    return str(info.get("cluster") or info.get("server_name") or "")


async def asked(bus: Bus, what: str, request: dict[str, Any], *, timeout_s: float = _ANSWER_S) -> bytes:
    """JetStream's answer to ``$JS.API.<what>``. Raises ``NotDone`` when it refuses or is silent."""
    try:
        reply = await bus.nc.request(f"{_API}.{what}", msgspec.json.encode(request), timeout=timeout_s)
    except (NatsError, OSError, TimeoutError) as error:
        raise NotDone(f"NATS does not answer ({what}): {error}") from error
    _understood(reply.data, what)
    return reply.data


@contextlib.asynccontextmanager
async def snapshot(bus: Bus, stream: str) -> AsyncGenerator[tuple[Head, AsyncIterator[bytes]], None]:
    """The head of a snapshot, and its bytes, in pieces. A piece is acknowledged when the next is asked for. Raises ``NotDone``."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()

    async def arrive(message: Msg) -> None:
        arrived.put_nowait(message)

    inbox = bus.nc.new_inbox()
    subscription = await bus.nc.subscribe(inbox, cb=arrive)
    try:
        request = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": _chunk_bytes(bus)}
        head = _understood(await asked(bus, f"STREAM.SNAPSHOT.{stream}", request), stream)
        async with aclosing(_chunks(bus, stream, arrived)) as chunks:
            yield Head(head.config, head.state), chunks
    finally:
        with contextlib.suppress(NatsError, OSError):
            await subscription.unsubscribe()


async def _chunks(bus: Bus, stream: str, arrived: asyncio.Queue[Msg]) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            async with asyncio.timeout(_SILENT_S):
                message = await arrived.get()
        except TimeoutError:
            raise NotDone(f"NATS fell silent in the middle of {stream}") from None
        if not message.data:
            headers = message.headers or {}
            if headers.get("Status") not in _DONE:
                raise NotDone(
                    f"NATS broke off in the middle of {stream}: {headers.get('Description', headers['Status'])}"
                )
            return
        yield message.data
        if message.reply:
            try:
                await bus.nc.publish(message.reply)
            except (NatsError, OSError) as error:
                raise NotDone(f"NATS is gone in the middle of {stream}: {error}") from error


async def restore(bus: Bus, head: Head, chunks: AsyncIterator[bytes]) -> None:
    """Makes the stream of ``head.config``, which must not be there yet, out of the bytes of a snapshot. Raises ``NotDone``.

    A server that refuses in the middle may leave a part of the stream; to remove it is the caller's.
    """
    stream = head.config["name"]
    request = {"config": head.config, "state": head.state}
    subject = _understood(await asked(bus, f"STREAM.RESTORE.{stream}", request), stream).deliver_subject
    async for chunk in chunks:
        await _sent(bus, stream, subject, chunk, _SILENT_S)
    await _sent(bus, stream, subject, b"", _LAST_ANSWER_S)


async def _sent(bus: Bus, stream: str, subject: str, chunk: bytes, timeout_s: float) -> None:
    try:
        reply = await bus.nc.request(subject, chunk, timeout=timeout_s)
    except (NatsError, OSError, TimeoutError) as error:
        raise NotDone(f"NATS fell silent in the middle of {stream}: {error}") from error
    if reply.data:
        _understood(reply.data, stream)


def _understood(data: bytes, what: str) -> _Answer:
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except msgspec.MsgspecError as error:
        raise NotDone(f"NATS gave an answer about {what} that cannot be read: {error}") from error
    if answer.error is None:
        return answer
    if answer.error.err_code in _NO_STORAGE:
        lacks = f"the NATS server has too little JetStream storage for {what} ({answer.error.description})"
        raise NotDone(f"{lacks}; raise its max_file_store, or give it a larger disk")
    raise NotDone(f"NATS refuses ({what}): {answer.error.description}")


def _chunk_bytes(bus: Bus) -> int:
    return min(CHUNK_BYTES, bus.nc.max_payload // 2)
