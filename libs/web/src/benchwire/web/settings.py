"""What can be set of every HTTP service."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from benchwire.events.settings import NatsSettings, Secret
from benchwire.web.origins import DEFAULT_ORIGINS
from benchwire.web.rate import limit
from benchwire.web.tokens import FILE_NAME

BODY_LIMIT_BYTES = 8 << 20
BODIES_LIMIT_BYTES = 512 << 20


class WebSettings(NatsSettings, frozen=True, kw_only=True):
    """``data`` is the directory of all services of this machine.

    ``token`` is one token with all scopes; further ones are in ``tokens_file``. ``rate_limit`` is like ``1000/second``; empty means none.
    ``served_as`` are the names by which a proxy on this machine is called, where no token is configured. The rest are the limits of the
    gate, which the README of this member lists with what a client is told; a 0 means none.
    """

    data: Path = Path("data")
    token: Secret | None = None
    tokens_file: Path | None = None
    cors_origins: tuple[str, ...] = DEFAULT_ORIGINS
    body_limit_bytes: int = BODY_LIMIT_BYTES
    bodies_limit_bytes: Annotated[int, Meta(ge=0)] = BODIES_LIMIT_BYTES
    rate_limit: str = ""
    served_as: tuple[str, ...] = ()
    connections: Annotated[int, Meta(ge=0)] = 4096
    connections_per_peer: Annotated[int, Meta(ge=0)] = 1024
    head_limit_bytes: Annotated[int, Meta(ge=1024)] = 64 << 10
    head_limit_fields: Annotated[int, Meta(ge=16)] = 128
    head_within_s: Annotated[float, Meta(gt=0)] = 20.0
    slow_for_s: Annotated[float, Meta(gt=0)] = 60.0
    slowest_bytes_per_s: Annotated[int, Meta(ge=1)] = 500
    unread_limit_bytes: Annotated[int, Meta(ge=0)] = 512 << 20
    socket_messages_per_s: Annotated[int, Meta(ge=0)] = 2000
    wrong_tokens_per_minute: Annotated[int, Meta(ge=0)] = 60

    def __post_init__(self) -> None:
        limit(self.rate_limit)

    @property
    def tokens_path(self) -> Path:
        """Where the named tokens are: as set, or beside the services' own things."""
        return self.tokens_file or self.data / FILE_NAME
