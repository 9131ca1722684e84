"""pyocd's view of virtual boards: a probe plugin, so that they show in `pyocd list` and are chosen by serial number or name.

It finds the boards that are registered in the directory named by BENCHWIRE_VIRTUAL_DIR; without the variable it is not
loaded. The only module of this package that imports pyocd, which loads it through the entry point group `pyocd.probe`.
"""

import logging
import os
from pathlib import Path
from typing import Any

import msgspec
from pyocd.board.board import Board
from pyocd.board.board_ids import BoardInfo
from pyocd.core import exceptions
from pyocd.core.plugin import Plugin
from pyocd.probe.tcp_client_probe import TCPClientProbe
from pyocd.utility.sockets import ClientSocket

from benchwire.boards import profile as profiles
from benchwire.boards.virtual.registry import BoardRecord, read_records

DIRECTORY = "BENCHWIRE_VIRTUAL_DIR"
# Each request is answered at once, also while an algorithm runs; a board that says nothing for so long is gone.
ANSWER_S = 30.0

LOG = logging.getLogger(__name__)


class VirtualBoardPlugin(Plugin):  # type: ignore[misc]  # pyocd has no types
    """What the entry point names."""

    def should_load(self) -> bool:
        """Only where there may be virtual boards."""
        return bool(os.environ.get(DIRECTORY))

    def load(self) -> type:
        """The probe class."""
        return VirtualBoardProbe

    @property
    def name(self) -> str:
        """The type of its probes: `pyocd flash -u benchwire:SERIAL ...`."""
        return "benchwire"

    @property
    def description(self) -> str:
        """For `pyocd list --plugins`."""
        return "Benchwire's virtual boards"


class VirtualBoardProbe(TCPClientProbe):  # type: ignore[misc]
    """The probe of one registered board: pyocd's own client, and an error where that one waits for ever."""

    def __init__(self, record: BoardRecord, probe: str) -> None:
        super().__init__(probe.removeprefix("remote:"))
        self._record = record
        self._uid = record.serial_number
        host, port = self._extract_address(probe.removeprefix("remote:"))
        self._socket = Line(host, port, record.name)

    @classmethod
    def get_all_connected_probes(cls, unique_id: str | None = None, is_explicit: bool = False) -> list[Any]:
        """Every board that is plugged in and has a probe."""
        return [cls(record, record.probe) for record in plugged_in() if record.probe is not None]

    @classmethod
    def get_probe_with_id(cls, unique_id: str, is_explicit: bool = False) -> Any:
        """The board with exactly this serial number or name."""
        asked = unique_id.lower()
        found = (one for one in cls.get_all_connected_probes() if asked in one.names)
        return next(found, None)

    @property
    def names(self) -> tuple[str, str]:
        """What a person calls it, in lower case."""
        return self._record.serial_number.lower(), self._record.name.lower()

    @property
    def vendor_name(self) -> str:
        """For the list."""
        return "Benchwire"

    @property
    def product_name(self) -> str:
        """For the list."""
        return f"virtual board {self._record.name}"

    @property
    def associated_board_info(self) -> Any:
        """The board and its target, for the list."""
        try:
            driver = profiles.load(self._record.profile).driver
        except profiles.UnknownProfile:
            return None
        target = driver.target if isinstance(driver, profiles.Pyocd) else None
        return BoardInfo(name=self._record.profile, target=target)

    def create_associated_board(self) -> Any:
        """The board and its target, so that none need be named on the command line."""
        return Board(self.session, board_info=self.associated_board_info)

    def lock(self) -> None:
        """Between this process's threads only: a board has one session at a time, and a lock there can't fail when it is gone."""
        self._lock_count_lock.acquire()

    def unlock(self) -> None:
        """The other half of `lock`."""
        self._lock_count_lock.release()

    def close(self) -> None:
        """Let go of the board; one that is gone needs no telling."""
        try:
            super().close()
        except exceptions.ProbeDisconnected as error:
            LOG.debug("closing: %s", error)
            self._socket.close()
            self._is_open = False


class Line(ClientSocket):  # type: ignore[misc]
    """The connection to a board. pyocd's own reads on for ever, at full speed, when the other side has hung up."""

    def __init__(self, host: str, port: int, board: str) -> None:
        super().__init__(host, port)
        self._board = board

    def set_timeout(self, timeout: float) -> None:
        """pyocd asks for a tenth of a second, and then tries again without end."""
        super().set_timeout(max(timeout, ANSWER_S))

    def read(self, packet_size: int | None = None) -> bytes:
        """At least one byte. Raises `ProbeDisconnected`."""
        try:
            data = bytes(super().read(packet_size))
        except TimeoutError as error:
            raise exceptions.ProbeDisconnected(f"{self._board} has not answered for {ANSWER_S:.0f} s") from error
        except OSError as error:
            raise exceptions.ProbeDisconnected(f"{self._board} was unplugged: {error}") from error
        if not data:
            raise exceptions.ProbeDisconnected(f"{self._board} was unplugged")
        return data

    def write(self, data: bytes) -> None:
        """All of it. Raises `ProbeDisconnected`."""
        try:
            super().write(data)
        except OSError as error:
            raise exceptions.ProbeDisconnected(f"{self._board} was unplugged: {error}") from error

    def close(self) -> None:
        """Also when the other side has closed it already."""
        try:
            super().close()
        except OSError:
            self._socket = None


def plugged_in() -> list[BoardRecord]:
    """The boards of the directory. What can't be read is said in pyocd's log, and is no reason for pyocd to fail."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return []
    try:
        return read_records(Path(directory))
    except (OSError, msgspec.DecodeError) as error:
        LOG.warning("%s: the virtual boards in %s can't be read: %s", DIRECTORY, directory, error)
        return []
