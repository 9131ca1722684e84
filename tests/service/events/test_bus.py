"""The connection, where it has to do better than the client library."""

import asyncio
import contextlib
import os
import signal
from asyncio import StreamWriter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import uvloop
from nats.aio.msg import Msg

from benchwire.events import child, nats_server
from benchwire.events.bus import Bus, NatsUnreachable, connected
from benchwire.events.connection import Connection
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually

NOBODY_LISTENS = "nats://127.0.0.1:9"
DEADLINE_S = 30.0


async def turns(number: int) -> None:
    """Lets the event loop turn that many times."""
    for _ in range(number):
        await asyncio.sleep(0)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def writer_of(bus: Bus) -> StreamWriter:
    writer = vars(bus.nc._transport)["_io_writer"]
    assert isinstance(writer, StreamWriter)
    return writer


@contextlib.asynccontextmanager
async def clogged(bus: Bus) -> AsyncIterator[StreamWriter]:
    """Somebody publishes more than a server that does not read will take; the writer whose buffer is full."""

    async def publish() -> None:
        while True:
            await bus.nc.publish("ask.nothing", bytes(1 << 19))

    writer = writer_of(bus)
    publishing = asyncio.create_task(publish())
    try:
        await eventually(lambda: writer.transport.get_write_buffer_size() > 0, within_s=DEADLINE_S)
        yield writer
    finally:
        publishing.cancel()
        await asyncio.wait([publishing])


async def test_a_cancel_that_comes_together_with_a_reply_is_not_forgotten(bus: Bus) -> None:
    """A node of a cancelled task went on for its whole length, because the cancel met the acknowledgement of an event."""

    async def answer(message: Msg) -> None:
        await message.respond(b"yes")

    await bus.nc.subscribe("ask.something", cb=answer)
    asking = asyncio.create_task(bus.nc.request("ask.something", b"", timeout=5))
    async with asyncio.timeout(5):
        while not bus.nc._resp_map:  # noqa: ASYNC110 - in each turn of the loop, for the reply comes within a millisecond
            await asyncio.sleep(0)
    reply = next(iter(bus.nc._resp_map.values()))
    reply.add_done_callback(lambda _: asking.cancel())
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_connection_that_is_left_while_it_reconnects_leaves_no_task(tmp_path: Path) -> None:
    """A cancel that met "connection refused" was taken for one more failed attempt: the reconnect went on for ever, and so did the process."""
    for number in range(10):
        async with nats_server.running(tmp_path / str(number)) as server:
            before = asyncio.all_tasks()
            async with connected(NatsSettings(nats_url=server.url), name="test") as bus:
                for known in bus.nc._server_pool:
                    known.last_attempt = 0.0  # long ago, so that the next attempt comes without a pause
                os.kill(server.process.pid, signal.SIGKILL)
                async with asyncio.timeout(DEADLINE_S):
                    while not bus.nc.is_reconnecting:
                        await turns(1)
                await turns(number)
            assert asyncio.all_tasks() <= before


@pytest.mark.parametrize("number", range(8))
async def test_one_cancel_ends_a_connection_that_cannot_be_made(number: int) -> None:
    async def connect() -> None:
        async with connected(NatsSettings(nats_url=NOBODY_LISTENS, nats_connect_timeout_s=600.0), name="test"):
            pass

    before = asyncio.all_tasks()
    connecting = asyncio.create_task(connect())
    await turns(number)
    connecting.cancel()
    await asyncio.wait([connecting], timeout=DEADLINE_S)
    assert connecting.cancelled()
    assert asyncio.all_tasks() <= before


async def test_a_cancel_while_the_streams_are_made_closes_the_connection(nats: nats_server.Server) -> None:
    async def connect() -> None:
        async with connected(NatsSettings(nats_url=nats.url), name="test"):
            pass

    before = asyncio.all_tasks()
    with frozen(nats.process.pid):  # the kernel takes the connection; the server says nothing
        connecting = asyncio.create_task(connect())
        await turns(20)
        connecting.cancel()
        await asyncio.wait([connecting], timeout=DEADLINE_S)
    assert connecting.cancelled()
    assert asyncio.all_tasks() <= before


async def test_a_server_that_does_not_read_does_not_hold_up_the_close(nats: nats_server.Server) -> None:
    before = asyncio.all_tasks()
    with contextlib.ExitStack() as afterwards:
        async with asyncio.timeout(DEADLINE_S):
            async with connected(NatsSettings(nats_url=nats.url), name="test") as bus:
                afterwards.enter_context(frozen(nats.process.pid))
                async with clogged(bus):
                    pass
        assert asyncio.all_tasks() <= before


async def test_a_reconnect_does_not_wait_for_what_the_old_server_never_took(nats: nats_server.Server, bus: Bus) -> None:
    """The unsent bytes kept the old connection open, and the reconnect waiting, until TCP gave up: a quarter of an hour."""
    with frozen(nats.process.pid):
        async with clogged(bus) as old:
            await bus.nc.force_reconnect()
            await eventually(lambda: writer_of(bus) is not old, within_s=DEADLINE_S)
    await eventually(lambda: bus.reconnects == 1, within_s=DEADLINE_S)
    assert await bus.js.stream_info("BENCH")


async def test_attempts_at_a_server_that_says_nothing_leave_no_connection_open(
    nats: nats_server.Server, bus: Bus
) -> None:
    """Each left one, so that a server that hung for an hour cost its clients all their file descriptors."""
    bus.nc.options["connect_timeout"] = 0.1
    with frozen(nats.process.pid):
        await bus.nc.force_reconnect()
        await eventually(lambda: bus.nc._server_pool[0].reconnects >= 4, within_s=DEADLINE_S)
        ours = [one for one in psutil.Process().net_connections("tcp") if one.raddr and one.raddr.port == nats.port]
        assert len(ours) <= 1


async def test_a_server_that_is_frozen_does_not_answer_though_it_looks_connected(
    nats: nats_server.Server, bus: Bus
) -> None:
    assert await bus.answers(within_s=DEADLINE_S)
    with frozen(nats.process.pid):

        async def silent() -> bool:
            return not await bus.answers(within_s=0.2)

        await eventually(silent)
        assert bus.connected
    assert await bus.answers(within_s=DEADLINE_S)


async def test_a_server_without_jetstream_is_waited_for_and_then_said_to_have_none(tmp_path: Path) -> None:
    """A leaf node has none of its own, and is of no use only as long as it has no way to the servers that do."""
    argv = [nats_server.binary(), "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", str(tmp_path)]
    async with child.spawn(argv, stdout=child.DEVNULL, stderr=child.DEVNULL) as server:
        url = await eventually(lambda: nats_server.ports_of(tmp_path, server.pid), what="the server listens")
        with pytest.raises(NatsUnreachable, match="no JetStream behind"):
            async with connected(NatsSettings(nats_url=url, nats_connect_timeout_s=1.0), name="test"):
                pass


def test_a_connection_that_is_closed_can_be_dropped_on_the_loop_that_services_have_too() -> None:
    async def dropped() -> None:
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            connection = Connection()
            connection._transport = SimpleNamespace(_bare_io_writer=writer)  # type: ignore[assignment]
            connection._abort()
            connection._transport = None

    uvloop.run(dropped())


async def test_a_connection_that_went_with_its_last_bytes_can_be_dropped_once_more() -> None:
    """As a reconnect to a server does that was frozen for a while, and then took what it was sent."""
    heard, may_read = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: StreamWriter) -> None:
        await may_read.wait()
        heard.set_result(len(await reader.read(-1)))
        writer.close()

    many = b"x" * (32 << 20)  # more than the system takes without anybody reading
    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(many)
        writer.close()
        may_read.set()
        assert await heard == len(many)
        await writer.wait_closed()
        connection = Connection()
        connection._transport = SimpleNamespace(_bare_io_writer=writer)  # type: ignore[assignment]
        connection._abort()
        connection._transport = None
