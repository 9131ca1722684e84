"""Settings of the document store."""

import re
import socket
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from benchwire.web.origins import page_origins
from benchwire.web.settings import WebSettings

_MIB = 1 << 20


class Settings(WebSettings, frozen=True, kw_only=True):
    """One field per ``BENCHWIRE_<FIELD>`` variable.

    ``documents_public_url`` is the base of every document's ``url``; without it, the address that is listened on.
    ``host`` is the name of this machine in the lab. ``documents_max_bytes`` limits one upload, ``documents_total_bytes`` and
    ``documents_total`` what all documents together may be (0: no limit). ``cache_bytes`` of downloads are kept on disk (0: none).
    ``documents_grace_s`` is how old bytes have to be that no event names, before they are taken for left behind.
    ``observability_host`` and ``observability_port`` are where the page is served whose browsers call here.
    """

    host: str = ""
    documents_host: str = "127.0.0.1"
    documents_port: int = 8766
    documents_public_url: str | None = None
    documents_max_bytes: Annotated[int, Meta(gt=0)] = 4096 * _MIB
    documents_total_bytes: Annotated[int, Meta(ge=0)] = 0
    documents_total: Annotated[int, Meta(ge=0)] = 0
    documents_grace_s: Annotated[float, Meta(ge=1)] = 3600.0
    cache_bytes: Annotated[int, Meta(ge=0)] = 1024 * _MIB
    observability_host: str = "127.0.0.1"
    observability_port: int = 8765

    @property
    def origins(self) -> list[str]:
        """The pages that may call: those that are set, and the lab's own."""
        return list(
            dict.fromkeys([*self.cors_origins, *page_origins(self.observability_host, self.observability_port)])
        )

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
