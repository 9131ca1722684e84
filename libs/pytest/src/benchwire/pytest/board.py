"""A board that a test has for itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchwire.client import Device, Image, Job, Lab, Lease, Listener, verified


class Board:
    """One board, leased. ``info`` is what the lab knows of it."""

    def __init__(self, lab: Lab, lease: Lease) -> None:
        if lease.device_id is None:
            raise ValueError("the lease has no board")
        self.lab = lab
        self.lease = lease
        self.name: str = lease.device_id
        self.host = lease.host

    @property
    def info(self) -> Device:
        """The board as it is now."""
        return self.lab.device(self.name, self.host)

    def reset(self, mode: str = "run") -> None:
        """Pulls its reset line; with ``download`` it stays in its loader."""
        self.lab.reset(self.name, host=self.host, mode=mode, lease_id=self.lease.lease_id)

    def __repr__(self) -> str:
        return f"<Board {self.name} on {self.host}>"


class Flash:
    """Puts images on a board: ``flash("app.bin")``, ``flash({0x0: "boot.bin", 0x10000: "app.bin"})``."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __call__(self, image: Path | str | bytes | Mapping[int, Path | str | bytes], **asked: Any) -> Job:
        """Flashes, verifies, boots; ``asked`` are further fields of ``POST /api/flash/start``. Raises ``FlashFailed``."""
        board = self._board
        parts = image.items() if isinstance(image, Mapping) else [(None, image)]
        images = [Image(source if isinstance(source, bytes) else Path(source), address) for address, source in parts]
        return verified(
            board.lab.flash(images, device_id=board.name, host=board.host, lease_id=board.lease.lease_id, **asked)
        )


class Serial:
    """The board's serial port: ``lines`` heard so far, ``expect`` waits for one, ``write`` sends."""

    def __init__(self, board: Board, listener: Listener) -> None:
        self._board = board
        self._listener = listener
        self.expect = listener.expect
        self.forget = listener.forget

    @property
    def lines(self) -> list[str]:
        """What the board printed since the test began."""
        return self._listener.lines

    def write(self, data: str | bytes, *, end: str = "\r\n") -> None:
        """Sends a line; bytes are sent as they are."""
        board = self._board
        sent = {"hex": data.hex()} if isinstance(data, bytes) else {"text": data, "end": end}
        board.lab.write(board.name, host=board.host, lease_id=board.lease.lease_id, **sent)
