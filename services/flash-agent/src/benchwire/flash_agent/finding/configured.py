"""Boards that a person wrote down, in a TOML file. Blocking; call it in a thread.

[board.rack2-c3]
port = "/dev/serial/by-id/usb-Espressif_USB_JTAG_serial_debug_unit_7C:DF:A1:00:00:01-if00"
profile = "esp32c3"
labels = { rack = "2", camera = "yes" }
hooks.power_off = ["uhubctl", "-l", "1-1", "-p", "3", "-a", "off"]
"""

import logging
import os
import shutil
import socket
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec

from benchwire.boards import profile as profiles
from benchwire.events.asks import Do
from benchwire.events.event import IllegalToken, token
from benchwire.events.settings import InvalidSettings
from benchwire.flash_agent.probes import DEFAULT_BAUD, Device, Hooks, driver_and_chip

log = logging.getLogger(__name__)

NETWORK_SCHEMES = ("socket", "rfc2217")
CONNECT_TIMEOUT_S = 0.8
MAX_AT_ONCE = 64
_HOOKS: tuple[Do, ...] = get_args(Do)


class InvalidBoards(InvalidSettings):
    """The file of boards cannot be used; the sentence names the file, the board and the field."""


class ConfiguredBoard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says of one board: where it is (``port``, ``probe`` or both), and what it is."""

    port: str | None = None
    probe: str | None = None
    profile: str | None = None
    baud: int | None = None
    labels: dict[str, str] = {}
    hooks: Hooks = Hooks()


def read(path: Path) -> dict[str, ConfiguredBoard]:
    """The boards of the file, by name. Raises ``InvalidBoards``."""
    try:
        said = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise InvalidBoards(f"{path}: {error}") from error
    boards = said.pop("board", {})
    if said or not isinstance(boards, dict):
        raise InvalidBoards(f"{path}: a board is a table [board.NAME], and {next(iter(said), 'board')!r} is none")
    return {name: _board(path, name, table) for name, table in boards.items()}


def _board(path: Path, name: str, table: Any) -> ConfiguredBoard:
    try:
        token(name)
        board = msgspec.convert(table, ConfiguredBoard)
    except IllegalToken as error:
        raise InvalidBoards(f"{path}: board {name!r}: {error}") from error
    except msgspec.ValidationError as error:
        sentence, _, place = str(error).partition(" - at `$")
        raise InvalidBoards(f"{path}: board {name!r}: {place.strip('`.') or 'its table'}: {sentence}") from error
    for field, problem in _problems(board):
        raise InvalidBoards(f"{path}: board {name!r}: {field}: {problem}")
    return board


def _problems(board: ConfiguredBoard) -> Iterator[tuple[str, str]]:
    """The fields that cannot be, and why."""
    if board.port is None and board.probe is None:
        yield "port", "neither a port nor a probe is named, so it can never be found"
    if board.port is not None and not _is_port(board.port):
        yield "port", f"{board.port!r} is neither an absolute path nor socket://HOST:PORT nor rfc2217://HOST:PORT"
    if board.baud is not None and board.baud <= 0:
        yield "baud", f"{board.baud} is no speed"
    if board.hooks.timeout_s <= 0:
        yield "hooks.timeout_s", "a command needs some time"
    try:
        if board.profile is not None:
            profiles.load(board.profile)
    except profiles.UnknownProfile as error:
        yield "profile", str(error)
    for do in _HOOKS:
        command = board.hooks.for_(do)
        if command and shutil.which(command[0]) is None:
            yield f"hooks.{do}", f"{command[0]!r} is not installed, not executable, or not on PATH"


def _is_port(port: str) -> bool:
    return port.startswith("/") or network_address(port) is not None


def network_address(port: str) -> tuple[str, int] | None:
    """Host and TCP port of a network port; None for other ports, and for an address that is none."""
    try:
        parts = urlsplit(port)
        address = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in NETWORK_SCHEMES or address[0] is None or address[1] is None:
        return None
    return address[0], address[1]


def reachable(address: tuple[str, int]) -> bool:
    """Whether somebody answers there."""
    try:
        with socket.create_connection(address, timeout=CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


class ConfiguredBoards:
    """The boards of a file, which is read again when it changes; a broken edit changes nothing, and is complained of.

    ``in_use`` says whether this agent has a board's port open: many network ports serve one connection only, and a second one to see whether
    they are there would be in the way of the first.
    """

    def __init__(self, path: Path, in_use: Callable[[str], bool]) -> None:
        self._path = path
        self._in_use = in_use
        self._is_asked = False
        self._version = _version(path)
        self._boards = read(path)

    def reread(self) -> None:
        """Reads the file at the next look, whether it seems changed or not."""
        self._is_asked = True

    def find_local(self) -> list[Device]:
        """The boards of the file whose port's path is there, and those that are known by their probe."""
        self._follow()
        local = [(name, board) for name, board in self._boards.items() if _address_of(board) is None]
        return [_device(name, board) for name, board in local if board.port is None or Path(board.port).exists()]

    def find_networked(self) -> list[Device]:
        """Those whose network port answers. Apart from the others, because a network may take its time to say no."""
        boards = self._boards
        addresses = {name: address for name, board in boards.items() if (address := _address_of(board)) is not None}
        asked = [name for name in addresses if not self._in_use(name)]
        lost: set[str] = set()
        if asked:
            with ThreadPoolExecutor(max_workers=min(MAX_AT_ONCE, len(asked))) as pool:
                answers = pool.map(reachable, [addresses[name] for name in asked])
                lost = {name for name, answered in zip(asked, answers, strict=True) if not answered}
        return [_device(name, boards[name]) for name in addresses if name not in lost]

    def _follow(self) -> None:
        version = _version(self._path)
        if version == self._version and not self._is_asked:
            return
        self._version, self._is_asked = version, False
        try:
            self._boards = read(self._path)
        except InvalidBoards as error:
            log.warning("the boards stay as they were: %s", error)
        else:
            log.info("%s names %d boards", self._path, len(self._boards))


def _address_of(board: ConfiguredBoard) -> tuple[str, int] | None:
    return None if board.port is None else network_address(board.port)


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _device(name: str, board: ConfiguredBoard) -> Device:
    profile = None if board.profile is None else profiles.load(board.profile)
    driver, chip = (None, None) if profile is None else driver_and_chip(profile)
    is_path = board.port is not None and board.port.startswith("/")
    place = os.path.realpath(board.port) if board.port is not None and is_path else board.port
    return Device(
        name=name,
        profile=None if profile is None else profile.board,
        driver=driver,
        port=board.port,
        probe=board.probe,
        chip=chip,
        labels=board.labels,
        place=place,
        instance=place or "",
        baud=board.baud or (DEFAULT_BAUD if profile is None else profile.baud),
        hooks=board.hooks,
        configured=True,
    )
