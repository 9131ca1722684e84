"""What the environment says to this service."""

import re
import socket
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from benchwire.events.event import MAX_TOKEN_BYTES, token
from benchwire.events.settings import NatsSettings


def host_name() -> str:
    """The machine's name, without its domain, as a legal token."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname().partition(".")[0]).strip("-")
    return name[:MAX_TOKEN_BYTES] or "localhost"


class Settings(NatsSettings, frozen=True, kw_only=True):
    """``data`` is the directory of the lab on this machine; ``host`` is the name under which this host's boards are known.

    Virtual boards register in ``virtual_dir``; without it, only real ones are looked for. ``boards`` is the file in which a person says what is
    plugged in. ``ports`` says whether serial ports and drives are looked for, ``probes`` whether debug probes (``auto``: where there is USB),
    ``identify`` whether a board of which nobody said what it is is asked, which resets it. The job of an agent that was killed comes again
    ``ack_wait_s`` seconds after it was heard of last. Up to ``max_tools`` flash tools run at the same time; a job that holds for longer than
    ``pause_limit_s`` is cancelled.
    """

    data: Path = Path("data")
    host: str = ""
    virtual_dir: Path | None = None
    boards: Path | None = None
    ports: Literal["on", "off"] = "on"
    probes: Literal["auto", "on", "off"] = "auto"
    identify: Literal["on", "off"] = "on"
    ack_wait_s: float = 10.0
    max_tools: Annotated[int, msgspec.Meta(ge=1)] = 16
    pause_limit_s: float = 1800.0

    @property
    def name(self) -> str:
        """The host's name. Raises ``IllegalToken``."""
        return token(self.host, "BENCHWIRE_HOST") if self.host else host_name()

    @property
    def projection_file(self) -> Path:
        """Where the projection lies."""
        return self.data / "flash-agent" / "projection.sqlite"

    @property
    def last_run_file(self) -> Path:
        """Where it says which run of this agent was the last one."""
        return self.data / "flash-agent" / "last-run"

    @property
    def captures_dir(self) -> Path:
        """Where what boards print is kept until a capture of it is over."""
        return self.data / "flash-agent" / "captures"
