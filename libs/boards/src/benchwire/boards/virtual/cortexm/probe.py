"""The debug probe: the server side of pyocd's `remote:` probe, so that an untouched pyocd finds the chip behind it.

One JSON object per line: {"id": 1, "request": "read_mem", "arguments": [0, 536870912, 32]} is answered by
{"id": 1, "status": 0, "result": 0}, or by {"id": 1, "status": 12, "error": "a sentence"}.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from benchwire.boards.virtual.connections import Connections
from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.cortexm.chip import Chip
from benchwire.boards.virtual.cortexm.ports import DebugPort

HOST = "127.0.0.1"
PROTOCOL_VERSION = 1
# a block write of a chip's whole RAM, as decimal numbers
MAX_LINE_BYTES = 4 * 1024 * 1024

GENERAL_ERROR, PROBE_ERROR, TRANSFER_ERROR, TRANSFER_FAULT = 1, 3, 10, 12

# pyocd asks for these by name. Without "DEFAULT" it refuses a session that names no wire protocol.
PROPERTIES: dict[str, Any] = {
    "vendor_name": "Benchwire",
    "product_name": "Virtual SWD probe",
    "supported_wire_protocols": ["DEFAULT", "SWD"],
    "capabilities": ["SWJ_SEQUENCE", "MANAGED_AP_SELECTION", "MANAGED_DPBANKSEL"],
    "associated_board_info": None,
}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One line from the debugger."""

    id: int
    request: str
    arguments: list[Any] = []


class ProbeError(Exception):
    """A request that the probe refuses, with the protocol's status code."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class CableGone(Exception):
    """So many bytes were to come through the cable, and no more."""


class Probe:
    """The probe's own state (who has it open, is the reset line low) and all requests it understands.

    `cable_bytes`: how many more bytes a debugger can write before the cable goes; None for a sound cable.
    """

    def __init__(self, chip: Chip) -> None:
        self.port = DebugPort(chip)
        self.cable_bytes: int | None = None
        self._chip = chip
        self._owner: object | None = None
        self._connected = False
        self._holds_reset = False
        self._requests: dict[str, Callable[..., Any]] = {
            "hello": self._hello,
            "readprop": self._property,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "reset": self._reset,
            "assert_reset": self._assert_reset,
            "is_reset_asserted": lambda: self._holds_reset,
            "read_dp": self._powered(self.port.read_dp),
            "write_dp": self._powered(self.port.write_dp),
            "read_ap": self._powered(self.port.read_ap),
            "write_ap": self._powered(self.port.write_ap),
            "read_ap_multiple": self._powered(self._read_ap_multiple),
            "write_ap_multiple": self._powered(self._write_ap_multiple),
            "get_memory_interface_for_ap": lambda _version, ap: 0 if ap == 0 else None,
            "read_mem": self._powered(self._read_mem),
            "write_mem": self._powered(self._write_mem),
            "read_block32": self._powered(self._read_block32),
            "write_block32": self._powered(self._write_block32),
            "read_block8": self._powered(self._read_block8),
            "write_block8": self._powered(self._write_block8),
            # nothing to do for these: there is one client, no clock and no queue
            **dict.fromkeys(("lock", "unlock", "flush", "set_clock", "swj_sequence"), lambda *_: None),
        }

    async def answer(self, line: bytes, client: object) -> bytes:
        """The answer to one line, errors included. `client` tells the connections apart. Raises `CableGone`."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.DecodeError as error:
            return failure(-1, GENERAL_ERROR, f"invalid request: {error}")
        try:
            result = await self._handle(request, client)
        except ProbeError as error:
            return failure(request.id, error.status, str(error))
        except BusFault as error:
            return failure(request.id, TRANSFER_FAULT, str(error))
        except (TypeError, ValueError, OverflowError, struct.error) as error:
            # arguments come from outside; a wrong count or type is the client's mistake
            return failure(request.id, GENERAL_ERROR, f"{request.request}: {error}")
        return msgspec.json.encode({"id": request.id, "status": 0, "result": result}) + b"\n"

    def leave(self, client: object) -> None:
        """A connection ended, with or without `close`."""
        if self._owner is client:
            self._owner = None

    async def _handle(self, request: Request, client: object) -> Any:
        if request.request == "open":
            self._open(client)
            return None
        if request.request == "close":
            self.leave(client)
            return None
        handler = self._requests.get(request.request)
        if handler is None:
            raise ProbeError(GENERAL_ERROR, f"this probe doesn't know the request {request.request!r}")
        result = handler(*request.arguments)
        return await result if isinstance(result, Awaitable) else result

    def _open(self, client: object) -> None:
        if self._owner not in (None, client):
            raise ProbeError(PROBE_ERROR, "the probe is in use by another session")
        self._owner = client

    def _powered(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*arguments: Any) -> Any:
            if not self._chip.powered:
                raise ProbeError(TRANSFER_ERROR, "no answer from the chip: the board has no power")
            return handler(*arguments)

        return checked

    @staticmethod
    def _hello(version: int) -> None:
        if version != PROTOCOL_VERSION:
            raise ProbeError(GENERAL_ERROR, f"protocol version {version} is unknown; this is {PROTOCOL_VERSION}")

    def _property(self, name: str) -> Any:
        if name == "wire_protocol":
            return "SWD" if self._connected else None
        if name not in PROPERTIES:
            raise ProbeError(GENERAL_ERROR, f"this probe has no property {name!r}")
        return PROPERTIES[name]

    def _connect(self, protocol: str) -> None:
        if protocol not in PROPERTIES["supported_wire_protocols"]:
            raise ProbeError(PROBE_ERROR, f"the probe speaks SWD, not {protocol}")
        self._connected = True

    def _disconnect(self) -> None:
        self._connected = False

    async def _reset(self) -> None:
        if self._chip.powered:
            await self._chip.system_reset()

    async def _assert_reset(self, low: bool) -> None:
        if self._chip.powered and low and not self._holds_reset:
            await self._chip.hold_in_reset()
        if self._chip.powered and self._holds_reset and not low:
            await self._chip.system_reset()
        self._holds_reset = low

    def _read_ap_multiple(self, address: int, count: int) -> list[int]:
        return [self.port.read_ap(address) for _ in range(count)]

    async def _write_ap_multiple(self, address: int, values: list[int]) -> None:
        for value in values:
            await self.port.write_ap(address, value)

    def _read_mem(self, _handle: int, address: int, bits: int) -> int:
        return int.from_bytes(self._chip.read(address, bits // 8), "little")

    async def _write_mem(self, _handle: int, address: int, value: int, bits: int) -> None:
        await self._write(address, value.to_bytes(bits // 8, "little"), width=bits // 8)

    def _read_block32(self, _handle: int, address: int, count: int) -> list[int]:
        return list(struct.unpack(f"<{count}I", self._chip.read(address, 4 * count)))

    async def _write_block32(self, _handle: int, address: int, values: list[int]) -> None:
        # pyocd's analyzer describes a flash page in one word as address and size, which is too wide for pages of 2 KiB
        # at 0x08000000. Other probes send the lower 32 bits, too; they name the same page where flash shows at 0.
        words = [value & 0xFFFF_FFFF for value in values]
        await self._write(address, struct.pack(f"<{len(words)}I", *words), width=4)

    def _read_block8(self, _handle: int, address: int, count: int) -> list[int]:
        return list(self._chip.read(address, count))

    async def _write_block8(self, _handle: int, address: int, values: list[int]) -> None:
        await self._write(address, bytes(values), width=1)

    async def _write(self, address: int, data: bytes, *, width: int) -> None:
        if self.cable_bytes is None:
            await self._chip.write(address, data, width=width)
            return
        arrived = data[: self.cable_bytes // width * width]
        await self._chip.write(address, arrived, width=width)
        self.cable_bytes -= len(data)
        if self.cable_bytes <= 0:
            raise CableGone


class ProbeServer:
    """The TCP side of a probe: one port for the board's whole life, open or pulled out.

    While it is `muted` it takes requests and answers none. `cable_gone` is called when the cable goes in the middle of
    a write.
    """

    def __init__(self, probe: Probe, tasks: asyncio.TaskGroup, cable_gone: Callable[[], None]) -> None:
        self.port = 0
        self.muted = False
        self._probe = probe
        self._cable_gone = cable_gone
        self._server: asyncio.Server | None = None
        self._connections = Connections(tasks, self._talk)

    @property
    def listening(self) -> bool:
        """Whether debuggers can connect."""
        return self._server is not None

    async def listen(self) -> None:
        """Accept debuggers, on the port of last time if there was one. Raises OSError when somebody else took it."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connections.accept, HOST, self.port, limit=MAX_LINE_BYTES)
            self.port = self._server.sockets[0].getsockname()[1]

    async def disconnect(self) -> None:
        """Drop every connection and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self._connections.drop()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if not self.muted:
                    writer.write(await self._probe.answer(line, writer))
                    await writer.drain()
        except CableGone:
            writer.transport.abort()
            self._cable_gone()
        except ValueError:
            # longer than any request; what follows in the stream can't be told apart, so hang up
            writer.write(failure(-1, GENERAL_ERROR, f"over {MAX_LINE_BYTES} bytes in one line"))
        finally:
            self._probe.leave(writer)


def failure(request_id: int, status: int, sentence: str) -> bytes:
    """The answer to a request that failed."""
    return msgspec.json.encode({"id": request_id, "status": status, "error": sentence}) + b"\n"
