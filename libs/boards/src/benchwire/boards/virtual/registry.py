"""The registration files of virtual boards: a file appears when a board is plugged in and goes when it is unplugged."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import msgspec

SUFFIX = ".board.json"


class BoardRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one virtual board that is plugged in."""

    name: str
    profile: str
    serial_number: str  # follows from the name, so that a board that comes back is the same board
    tty: str  # path of its serial port
    probe: str | None  # unique id for pyocd, e.g. "remote:127.0.0.1:5601"; None when it has no debug probe
    control: str  # path of its control socket
    pid: int
    socket: str | None = None  # its serial port over TCP, "socket://127.0.0.1:40001"; None when it has no such port
    rfc2217: str | None = None  # the same with DTR and RTS, "rfc2217://127.0.0.1:40002"
    drive: str | None = None  # path at which its UF2 drive is there while it is in its loader
    labels: dict[str, str] = {}  # what a lab says of it, for those who ask for any board with a camera


def serial_number_of(name: str) -> str:
    """The serial number of the board called `name`: 12 hex digits, always the same."""
    return uuid5(NAMESPACE_URL, f"benchwire:virtual-board:{name}").hex[:12].upper()


@contextmanager
def registered(record: BoardRecord, run_dir: Path) -> Iterator[None]:
    """Keep `record` in `run_dir` for as long as the block runs. A reader sees a whole file or none."""
    path = run_dir / f"{record.name}{SUFFIX}"
    draft = run_dir / f".{record.name}{SUFFIX}.{record.pid}"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
    draft.rename(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_records(run_dir: Path) -> list[BoardRecord]:
    """All boards plugged in under `run_dir`, by name. What dead boards left behind is removed.

    Raises `msgspec.DecodeError` for a registration file that no board wrote; a missing directory has no boards.
    """
    records = []
    for path in sorted(run_dir.glob(f"*{SUFFIX}")):
        try:
            record = msgspec.json.decode(path.read_bytes(), type=BoardRecord)
        except FileNotFoundError:  # unplugged since the directory was listed
            continue
        except msgspec.DecodeError as error:
            raise msgspec.DecodeError(f"{path} is no board's registration, remove it: {error}") from error
        if is_alive(record.pid):
            records.append(record)
        else:
            _remove_remains(path, record)
    return records


def is_alive(pid: int) -> bool:
    """Whether process `pid` runs. One that ended and was not yet waited for by its parent counts as dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def _remove_remains(path: Path, record: BoardRecord) -> None:
    for remains in (Path(record.tty), Path(record.control), path):
        with suppress(FileNotFoundError):
            os.unlink(remains)  # noqa: PTH108 - the tty is a link whose target is gone
