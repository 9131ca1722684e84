"""What can be set, and from where: ``BENCHWIRE_<FIELD>`` of the environment."""

from pathlib import Path

from benchwire.events.service import version_of
from benchwire.web.feed import OUTBOX_BYTES
from benchwire.web.settings import WebSettings

VERSION = version_of("benchwire-observability")


class Settings(WebSettings, frozen=True, kw_only=True):
    """Of the observability service; its own things are in ``data/observability``.

    ``orphaned_after_s`` is how long what a gone runner left may wait for another one before it is closed. ``documents_url`` is where
    browsers reach the document store. ``prices_file`` says what tokens cost (TOML, like ``benchwire/events/prices/prices.toml``, which it replaces).
    ``firmware_limit_bytes`` is how much firmware one call may bring.
    """

    observability_host: str = "127.0.0.1"
    observability_port: int = 8765
    outbox_bytes: int = OUTBOX_BYTES
    orphaned_after_s: float = 600.0
    documents_url: str = "http://127.0.0.1:8766"
    prices_file: Path | None = None
    firmware_limit_bytes: int = 128 << 20

    @property
    def projection_file(self) -> Path:
        """Where the projection is kept; deleting it costs a rebuild and nothing else."""
        return self.data / "observability" / "projection.sqlite"

    @property
    def search_file(self) -> Path:
        """Where the words of the search are kept; it can be deleted too."""
        return self.data / "observability" / "search.sqlite"

    @property
    def incoming(self) -> Path:
        """Where firmware is on its way into the artifact store."""
        return self.data / "observability" / "incoming"
