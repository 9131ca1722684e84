"""The virtual boards of the lab that runs here, as its commands see them."""

import time
from pathlib import Path
from typing import Any

import msgspec

from benchwire.boards.virtual import hand
from benchwire.boards.virtual.board import BoardError
from benchwire.boards.virtual.control import check_path
from benchwire.boards.virtual.main import NAME
from benchwire.boards.virtual.registry import BoardRecord, read_records
from benchwire.deploy import lab_file
from benchwire.deploy.board import kept
from benchwire.deploy.board.kept import Kept, NameTaken
from benchwire.deploy.board.profiles import virtual_profile
from benchwire.events.event import token

THERE_WITHIN_S = 90.0  # a small machine under load
GONE_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.05


class NoLabHere(Exception):
    """The command needs the lab of this machine, and there is none."""

    def __init__(self, data: Path) -> None:
        super().__init__(f"no lab runs on {data}: start one with `benchwire up`, or say with --data where it is")


class NoSuchBoard(Exception):
    """No virtual board has this name."""


class NotPluggedIn(Exception):
    """A board did not come, or did not go; the sentence says why, as far as that is known."""


class Listed(msgspec.Struct, kw_only=True):
    """A virtual board. ``state`` is for people; ``status`` is what the board says of itself, None when it is not there to be asked.

    ``added``: it is there again at the next start; the others were plugged in by ``up --virtual`` for one run.
    """

    name: str
    profile: str
    added: bool
    state: str
    labels: dict[str, str] = {}
    serial_number: str | None = None
    tty: str | None = None
    probe: str | None = None
    socket: str | None = None
    rfc2217: str | None = None
    drive: str | None = None
    control: str | None = None
    pid: int | None = None
    status: dict[str, Any] | None = None

    @property
    def reached(self) -> str:
        """Where tools that do not know this lab find it."""
        return " ".join(filter(None, (self.tty, self.probe, self.drive)))


class Bench:
    """The boards of one lab."""

    def __init__(self, data: Path, run_dir: Path) -> None:
        self._data = data
        self._run_dir = run_dir

    @classmethod
    def here(cls, data: Path) -> "Bench":
        """Those of the lab that runs on ``data``. Raises ``NoLabHere``."""
        lab = lab_file.read(data)
        if lab is None or not lab.virtual_dir:
            raise NoLabHere(data)
        return cls(data.absolute(), Path(lab.virtual_dir))

    def add(self, profile: str, name: str | None, *, labels: dict[str, str], current_uf2: bool) -> Listed:
        """Returns when the board is plugged in. Raises ``LookupError``, ``NameTaken``, ``ValueError``, ``NotPluggedIn``, ``BoardError``."""
        profile = virtual_profile(profile)
        taken = {record.name for record in read_records(self._run_dir)}
        name = name or self._free_name(profile, taken)
        if not NAME.fullmatch(name):
            raise ValueError(f"a board's name has 1 to 64 letters, digits, - and _, and {name!r} does not fit")
        check_path(self._run_dir / f"{token(name)}.control")
        if name in taken:
            raise NameTaken(name)
        kept.keep(self._data, Kept(name=name, profile=profile, labels=labels, current_uf2=current_uf2))
        try:
            record = self._there(name)
        except BaseException:  # also when somebody has no patience: what is not there is not kept
            kept.forget(self._data, name)
            raise
        return _listed(record, added=True)

    def remove(self, name: str) -> None:
        """Returns when the board is gone, and what its flash held. Raises ``NoSuchBoard`` and ``NotPluggedIn``."""
        if name not in {board.name for board in kept.read_all(self._data)}:
            self._record(name)
            raise NoSuchBoard(f"{name} was plugged in by `benchwire up --virtual`, and goes when that lab ends")
        kept.forget(self._data, name)
        end = time.monotonic() + GONE_WITHIN_S
        while not self._is_gone(name):
            if time.monotonic() > end:
                raise NotPluggedIn(f"{name} is forgotten, but it is still plugged in after {GONE_WITHIN_S:g} s")
            time.sleep(_LOOK_EVERY_S)
        kept.forget_flash(self._data, name)

    def boards(self) -> list[Listed]:
        """All of them, by name."""
        added = {board.name: board for board in kept.read_all(self._data)}
        there = {record.name: record for record in read_records(self._run_dir)}
        listed = [_listed(record, added=name in added) for name, record in there.items()]
        missing = [self._absent(board) for name, board in added.items() if name not in there]
        return sorted([*listed, *missing], key=lambda one: one.name)

    def tell(self, name: str, **command: Any) -> None:
        """Raises ``NoSuchBoard``, and ``BoardError`` with the board's own sentence."""
        hand.told(self._record(name).control, **command)

    def _is_gone(self, name: str) -> bool:
        """Whether its process has ended, and the lab starts no other one."""
        plugged_in = any(record.name == name for record in read_records(self._run_dir))
        return not plugged_in and kept.noted(self._run_dir, name) is None

    def _record(self, name: str) -> BoardRecord:
        records = {record.name: record for record in read_records(self._run_dir)}
        if name in records:
            return records[name]
        names = ", ".join(records) or "none yet: `benchwire board add --virtual PROFILE` adds one"
        why = kept.noted(self._run_dir, name)
        raise NoSuchBoard(why or f"no virtual board called {name} is plugged in here; there are {names}")

    def _free_name(self, profile: str, taken: set[str]) -> str:
        taken = taken | {board.name for board in kept.read_all(self._data)}
        return next(name for number in range(1, len(taken) + 2) if (name := f"{profile}-{number}") not in taken)

    def _there(self, name: str) -> BoardRecord:
        end = time.monotonic() + THERE_WITHIN_S
        while True:
            noted = kept.noted(self._run_dir, name)
            if noted:
                raise NotPluggedIn(noted)
            records = [record for record in read_records(self._run_dir) if record.name == name]
            if records and noted is not None:  # before that, the lab would take its end for a failed start
                return records[0]
            if lab_file.read(self._data) is None:
                raise NoLabHere(self._data)
            if time.monotonic() > end:
                raise NotPluggedIn(f"the lab has not plugged {name} in within {THERE_WITHIN_S:g} s")
            time.sleep(_LOOK_EVERY_S)

    def _absent(self, board: Kept) -> Listed:
        why = kept.noted(self._run_dir, board.name) or "not plugged in"
        state = why.partition("\n")[0]
        return Listed(name=board.name, profile=board.profile, added=True, state=state, labels=board.labels)


def _listed(record: BoardRecord, *, added: bool) -> Listed:
    fields = {name: getattr(record, name) for name in record.__struct_fields__ if name in Listed.__struct_fields__}
    try:
        status = hand.told(record.control, do="status")
    except BoardError as error:
        return Listed(**fields, added=added, state=str(error))
    return Listed(**fields, added=added, state=_state(status), status=status)


def _state(status: dict[str, Any]) -> str:
    if not status["powered"]:
        return "off"
    if status["running"]:
        return "running"
    return str(status.get("state") or status.get("core") or "not running")
