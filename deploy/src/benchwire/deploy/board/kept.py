"""The boards that somebody added: a file each, beside their flash memory, in the data directory. The lab that runs there follows them."""

import contextlib
import os
from pathlib import Path

import msgspec

FOLDER = "boards"
_SUFFIX = ".json"
_NOTE = ".note"


class NameTaken(Exception):
    """There is a board of that name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a board called {name} is here already; give another one with --name")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A board that is plugged in whenever the lab runs. ``current_uf2``: its UF2 drive shows what the flash holds."""

    name: str
    profile: str
    labels: dict[str, str] = {}
    current_uf2: bool = False

    @property
    def options(self) -> list[str]:
        """What its process is told beside its name."""
        labels = [word for key, value in self.labels.items() for word in ("--label", f"{key}={value}")]
        return [*labels, *(["--current-uf2"] if self.current_uf2 else [])]


def keep(data: Path, board: Kept) -> None:
    """From now on the board is part of the lab. Raises ``NameTaken``, and ``OSError``."""
    path = _file(data, board.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(board)) + b"\n")
    try:
        path.hardlink_to(draft)  # whole at once, and only if there is none
    except FileExistsError as error:
        raise NameTaken(board.name) from error
    finally:
        draft.unlink()


def forget(data: Path, name: str) -> None:
    """The board is no part of the lab any more; its flash memory stays."""
    _file(data, name).unlink(missing_ok=True)


def forget_flash(data: Path, name: str) -> None:
    """What a board held that is gone."""
    flash_file(data, name).unlink(missing_ok=True)


def flash_file(data: Path, name: str) -> Path:
    """Where the flash memory of a board is kept."""
    return data / FOLDER / f"{name}.flash"


def read_all(data: Path) -> list[Kept]:
    """Every board that was added, by name. A file that cannot be read as one is none."""
    found = []
    for path in sorted((data / FOLDER).glob(f"[!.]*{_SUFFIX}")):
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            board = msgspec.json.decode(path.read_bytes(), type=Kept)
            found += [board] if _file(data, board.name) == path else []
    return found


def note(run_dir: Path, name: str, trouble: str | None) -> None:
    """The lab says how a board is: empty for one that is well, else why it is not there. None takes back what was said."""
    path = run_dir / f"{name}{_NOTE}"
    if trouble is None:
        path.unlink(missing_ok=True)
        return
    draft = path.with_name(f".{path.name}")
    draft.write_text(trouble)
    draft.replace(path)


def noted(run_dir: Path, name: str) -> str | None:
    """What the lab said of a board last; None when it has said nothing yet."""
    try:
        return (run_dir / f"{name}{_NOTE}").read_text()
    except FileNotFoundError:
        return None


def _file(data: Path, name: str) -> Path:
    return data / FOLDER / f"{name}{_SUFFIX}"
