"""What every virtual board offers to the process around it, and where it lives."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from benchwire.boards.virtual.uart import Uart

ResetMode = Literal["run", "download"]


class BoardError(Exception):
    """A board can't do what was asked; the message is a sentence for a person."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The name of one virtual board and the files that belong to it."""

    name: str
    profile: str
    run_dir: Path
    flash_file: Path
    current_uf2: bool = False  # a UF2 drive shows what the flash holds; the RP2040's own does not

    @property
    def tty(self) -> Path:
        """Stable link to the pty that stands for the board's serial port."""
        return self.run_dir / f"{self.name}.tty"

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.run_dir / f"{self.name}.control"

    @property
    def drive(self) -> Path:
        """The folder in which the drive of a UF2 loader appears."""
        return self.run_dir / f"{self.name}.drive"

    @property
    def record(self) -> Path:
        """The registration file."""
        return self.run_dir / f"{self.name}.board.json"


class Board(Protocol):
    """One board that is plugged in. Whatever it refuses, it refuses with a `BoardError`."""

    @property
    def probe(self) -> str | None:
        """The unique id by which pyocd finds its debug probe; None when it has no probe."""

    @property
    def unplugged(self) -> asyncio.Event:
        """Set when a fault pulled the cable: the process then closes everything and ends."""

    async def reset(self, mode: ResetMode) -> None:
        """Pull the reset line: boot what the flash holds, or ("download") stay in the chip's loader."""

    async def power(self, on: bool) -> None:
        """Switch the supply. Flash survives, RAM does not."""

    async def fault(self, kind: str, arguments: dict[str, Any]) -> None:
        """Make something go wrong, for tests. Unknown kinds are refused with the list of known ones."""

    def status(self) -> dict[str, Any]:
        """What is going on: `running`, `powered`, `flash_sha256` and what else the board can tell; JSON types only."""


@runtime_checkable
class Strapped(Protocol):
    """What a board with a strapping pin can do beside."""

    async def strap(self, mode: ResetMode) -> None:
        """Hold the pin, or ("run") let it go. While it is held, every reset and power-on is one into the loader."""


@runtime_checkable
class Networked(Protocol):
    """What a board tells whose serial port can be reached over the network, too. URLs as pyserial takes them."""

    @property
    def socket(self) -> str:
        """A plain TCP connection: bytes, and no control lines."""

    @property
    def rfc2217(self) -> str:
        """RFC 2217: bytes, and the adapter's DTR and RTS."""


@runtime_checkable
class Mounted(Protocol):
    """What a board tells whose loader looks like a drive."""

    @property
    def drive(self) -> str:
        """Path at which the drive is there while the board is in its loader."""


class BoardModule(Protocol):
    """What the module of a board kind holds."""

    def open_board(self, place: Place, uart: Uart) -> AbstractAsyncContextManager[Board]:
        """Power the board up (it boots its flash); on leaving, everything it started is gone."""
