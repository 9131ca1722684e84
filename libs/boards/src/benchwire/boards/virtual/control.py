"""The control socket of a virtual board: what a hand on the bench would do, as one JSON object per line.

{"do": "status"}                          -> {"ok": true, "running": true, "flash_sha256": "...", ...}
{"do": "reset"}                           -> {"ok": true}       boots what the flash holds
{"do": "reset", "mode": "download"}       -> {"ok": true}       stays in the chip's loader, where it has one
{"do": "strap", "mode": "download"}       -> {"ok": true}       holds the strapping pin; "run" lets it go
{"do": "power", "on": false}              -> {"ok": true}
{"do": "fault", "kind": "disconnect"}     -> {"ok": true}       each board says which faults it knows
anything it can't do                      -> {"ok": false, "error": "a sentence"}
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from benchwire.boards.virtual.board import Board, BoardError, ResetMode, Strapped
from benchwire.boards.virtual.connections import Connections

# sun_path of a Linux unix socket address holds 108 bytes with the closing zero
MAX_PATH_BYTES = 107
MAX_LINE_BYTES = 64 * 1024


def check_path(path: Path) -> None:
    """Raises `BoardError` when `path` is too long for a unix socket."""
    length = len(bytes(path))
    if length > MAX_PATH_BYTES:
        raise BoardError(
            f"the socket path {path} has {length} bytes, and a unix socket may have {MAX_PATH_BYTES}: "
            "use a shorter run directory or name"
        )


@contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    """A unix socket bound to `path`, for this user only; the path is gone after the block."""
    check_path(path)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(bytes(path))
        try:
            path.chmod(0o600)
            yield listening
        finally:
            path.unlink(missing_ok=True)


@asynccontextmanager
async def control_socket(path: Path, board: Board) -> AsyncIterator[None]:
    """Answer commands on the unix socket `path` for as long as the block runs. One command at a time."""
    turn = asyncio.Lock()
    with bound(path) as listening:
        async with asyncio.TaskGroup() as tasks:
            connections = Connections(tasks, lambda reader, writer: _talk(reader, writer, board, turn))
            server = await asyncio.start_unix_server(connections.accept, sock=listening, limit=MAX_LINE_BYTES)
            try:
                yield
            finally:
                server.close()
                await connections.drop()


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, board: Board, turn: asyncio.Lock) -> None:
    while True:
        try:
            line = await reader.readline()
        except ValueError:
            writer.write(_refusal(f"a command has at most {MAX_LINE_BYTES} bytes"))
            return
        if not line:
            return
        async with turn:
            answer = await _answer(board, line)
        writer.write(answer)
        await writer.drain()


async def _answer(board: Board, line: bytes) -> bytes:
    try:
        command = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        return _refusal(f"a command is one JSON object per line: {error}")
    try:
        told = await obey(board, command)
    except BoardError as error:
        return _refusal(str(error))
    return msgspec.json.encode({"ok": True, **told}) + b"\n"


async def obey(board: Board, command: dict[str, Any]) -> dict[str, Any]:
    """Do one command and return what there is to tell. Raises `BoardError` when the board refuses."""
    match command:
        case {"do": "status"}:
            return board.status()
        case {"do": "reset", **rest}:
            await board.reset(_mode(rest))
        case {"do": "strap", **rest}:
            if not isinstance(board, Strapped):
                raise BoardError("this board has no strapping pin")
            await board.strap(_mode(rest))
        case {"do": "power", "on": bool(on)}:
            await board.power(on)
        case {"do": "power"}:
            raise BoardError('power needs "on": true or false')
        case {"do": "fault", "kind": str(kind), **arguments}:
            await board.fault(kind, arguments)
        case {"do": "fault"}:
            raise BoardError('a fault needs a "kind"')
        case _:
            raise BoardError(f"unknown command {command.get('do')!r}; known are status, reset, strap, power and fault")
    return {}


def _mode(command: dict[str, Any]) -> ResetMode:
    mode = command.get("mode", "run")
    if mode not in ("run", "download"):
        raise BoardError(f'the mode of a reset is "run" or "download", not {mode!r}')
    return cast("ResetMode", mode)


def _refusal(sentence: str) -> bytes:
    return msgspec.json.encode({"ok": False, "error": sentence}) + b"\n"
