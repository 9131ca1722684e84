"""What can be set of every HTTP service."""

from pathlib import Path

from benchwire.events.settings import NatsSettings, Secret
from benchwire.web.origins import DEFAULT_ORIGINS
from benchwire.web.rate import limit
from benchwire.web.tokens import FILE_NAME

BODY_LIMIT_BYTES = 8 << 20


class WebSettings(NatsSettings, frozen=True, kw_only=True):
    """``data`` is the directory of all services of this machine.

    ``token`` is one token with all scopes; further ones are in ``tokens_file``. ``rate_limit`` is like ``1000/second``; empty means none.
    """

    data: Path = Path("data")
    token: Secret | None = None
    tokens_file: Path | None = None
    cors_origins: tuple[str, ...] = DEFAULT_ORIGINS
    body_limit_bytes: int = BODY_LIMIT_BYTES
    rate_limit: str = ""

    def __post_init__(self) -> None:
        limit(self.rate_limit)

    @property
    def tokens_path(self) -> Path:
        """Where the named tokens are: as set, or beside the services' own things."""
        return self.tokens_file or self.data / FILE_NAME
