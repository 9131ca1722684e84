"""What a lab on one machine can be told; `benchwire up` takes each as an option too."""

import re
import socket
from pathlib import Path

import msgspec

from benchwire.events.settings import Secret


def machine_name() -> str:
    """This machine's name as a legal subject token."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname()).strip("-")[:64] or "host"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from ``BENCHWIRE_<FIELD>``. Port 0 takes a free one; with ``nats_url`` no server is started.

    ``virtual`` names a board profile for each virtual board to plug in. ``runner`` is the agent runner's name, by default the host's.
    With a ``cassette`` that is played in the place of any model.
    """

    data: Path = Path("benchwire-data")
    host: str = msgspec.field(default_factory=machine_name)
    runner: str = ""
    observability_host: str = "127.0.0.1"
    observability_port: int = 8765
    documents_host: str = "127.0.0.1"
    documents_port: int = 8766
    nats_port: int = 4222
    nats_url: str = ""
    token: Secret = Secret("")
    tokens_file: Path | None = None
    virtual: list[str] = []
    cassette: Path | None = None
