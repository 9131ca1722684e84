"""What can be set, and from where: ``BENCHWIRE_<FIELD>`` of the environment."""

from pathlib import Path

import msgspec

from benchwire.events.service import version_of
from benchwire.events.settings import NatsSettings, Secret
from benchwire.web.cors import DEFAULT_ORIGINS
from benchwire.web.feed import OUTBOX_BYTES

VERSION = version_of("benchwire-observability")


class Settings(NatsSettings, frozen=True, kw_only=True):
    """Of the observability service. ``data`` is the directory of all services; this one's own things are in ``data/observability``."""

    data: Path = Path("data")
    observability_host: str = "127.0.0.1"
    observability_port: int = 8765
    token: Secret | None = None
    cors_origins: list[str] = msgspec.field(default_factory=lambda: list(DEFAULT_ORIGINS))
    outbox_bytes: int = OUTBOX_BYTES

    @property
    def projection_file(self) -> Path:
        """Where the projection is kept; deleting it costs a rebuild and nothing else."""
        return self.data / "observability" / "projection.sqlite"
