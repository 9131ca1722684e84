"""Settings of the document store."""

import re
import socket
from pathlib import Path

from benchwire.events.settings import NatsSettings, Secret
from benchwire.web.cors import DEFAULT_ORIGINS

_MIB = 1 << 20


class Settings(NatsSettings, frozen=True, kw_only=True):
    """One field per ``BENCHWIRE_<FIELD>`` variable.

    ``documents_public_url`` is the base of every document's ``url``; without it, the address that is listened on.
    ``host`` is the name of this machine in the lab. ``documents_max_bytes`` limits one upload. Without ``token``, only loopback is listened on.
    """

    data: Path = Path("data")
    host: str = ""
    documents_host: str = "127.0.0.1"
    documents_port: int = 8766
    documents_public_url: str | None = None
    documents_max_bytes: int = 512 * _MIB
    token: Secret | None = None
    cors_origins: tuple[str, ...] = DEFAULT_ORIGINS

    @property
    def home(self) -> Path:
        """Where this service keeps its own things."""
        return self.data / "documents"

    def base_url(self, port: int) -> str:
        """The base that clients see, without a slash at its end, when ``port`` is listened on."""
        if self.documents_public_url:
            return self.documents_public_url.rstrip("/")
        host = f"[{self.documents_host}]" if ":" in self.documents_host else self.documents_host
        return f"http://{host}:{port}"

    @property
    def instance(self) -> str:
        """What this instance is called among others."""
        name = re.sub(r"[^A-Za-z0-9-]+", "-", self.host or socket.gethostname()).strip("-")[:64] or "host"
        return f"{name}-{self.documents_port}"
