"""A board's serial port over the network: plain TCP, and RFC 2217, which carries DTR and RTS as well."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import msgspec
from serial.rfc2217 import PortManager

from benchwire.boards.virtual.board import ResetMode
from benchwire.boards.virtual.connections import Connections, Talk
from benchwire.boards.virtual.esp.wires import Adapter
from benchwire.boards.virtual.uart import Uart

if TYPE_CHECKING:
    from serial.rfc2217 import Serial

HOST = "127.0.0.1"
READ_BYTES = 64 * 1024
# As much as a client may leave unread; beyond it what the board prints is lost to it, as on every UART.
UNREAD_BYTES = 1024 * 1024
IAC = b"\xff"

Reset = Callable[[ResetMode], Awaitable[None]]


class Urls(msgspec.Struct, frozen=True, kw_only=True):
    """Where pyserial finds the port."""

    socket: str
    rfc2217: str


@asynccontextmanager
async def reachable(uart: Uart, reset: Reset) -> AsyncIterator[Urls]:
    """Listen on two free ports of this machine. `reset` is called when DTR and RTS reset the chip."""
    async with (
        _listening(lambda reader, writer: _talk_plainly(reader, writer, uart)) as plain,
        _listening(lambda reader, writer: _talk_rfc2217(reader, writer, uart, reset)) as rfc2217,
    ):
        yield Urls(socket=f"socket://{HOST}:{plain}", rfc2217=f"rfc2217://{HOST}:{rfc2217}")


@asynccontextmanager
async def _listening(talk: Talk) -> AsyncIterator[int]:
    """Serve `talk` on a free port, which is yielded."""
    async with asyncio.TaskGroup() as tasks:
        connections = Connections(tasks, talk)
        server = await asyncio.start_server(connections.accept, HOST, 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await connections.drop()


async def _talk_plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uart: Uart) -> None:
    with uart.taken(lambda data: _send(writer, data)) as line:
        while data := await reader.read(READ_BYTES):
            line.send(data)


async def _talk_rfc2217(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uart: Uart, reset: Reset) -> None:
    adapter = Adapter()
    manager = PortManager(cast("Serial", adapter), cast("Serial", writer))  # of which it uses what there is
    with uart.taken(lambda data: _send(writer, data.replace(IAC, IAC + IAC))) as line:
        while data := await reader.read(READ_BYTES):
            try:
                content = b"".join(manager.filter(data))
            except (struct.error, LookupError, TypeError, ValueError):
                return  # it says something that RFC 2217 has no meaning for
            line.send(content)
            # Whoever moves the lines waits for the answer before they send on, so nothing of `content` comes after it.
            mode = adapter.take_reset()
            if mode is not None and line.is_held:
                await reset(mode)


def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if writer.transport.get_write_buffer_size() < UNREAD_BYTES:
        writer.write(data)
