"""`lab.json` in the data directory: where the lab that runs there can be reached, for other commands on this machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchwire.deploy.parts import Site

NAME = "lab.json"


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a running lab, and the process that runs it. No secrets. Virtual boards register in ``virtual_dir``."""

    pid: int
    host: str
    nats_url: str
    observability_url: str
    documents_url: str
    virtual_dir: str = ""


@contextlib.contextmanager
def written(site: Site) -> Iterator[None]:
    """Keeps the file there for the time of the context; a reader sees it whole or not at all."""
    path = site.data / NAME
    body = Whereabouts(
        pid=os.getpid(),
        host=site.settings.host,
        nats_url=site.nats_url,
        observability_url=site.observability_url,
        documents_url=site.documents_url,
        virtual_dir=str(site.run_dir),
    )
    draft = path.with_name(f".{NAME}.{os.getpid()}")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(body)))
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read(data: Path) -> Whereabouts | None:
    """Where the lab on ``data`` is; None when none runs there."""
    try:
        found = msgspec.json.decode((data / NAME).read_bytes(), type=Whereabouts)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if _lives(found.pid) else None


def _lives(pid: int) -> bool:
    """Whether that process is there; a lab that was killed leaves its file behind."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
