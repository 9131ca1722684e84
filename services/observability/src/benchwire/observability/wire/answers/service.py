"""The service itself."""

from typing import Literal

import msgspec


class Rows(msgspec.Struct):
    """How far the rows are behind the log."""

    applied: int
    behind: int
    unknown: int
    malformed: int


class Health(msgspec.Struct, kw_only=True):
    """``detail`` and ``status_code`` are there when something is wrong."""

    status: Literal["healthy", "unhealthy"]
    service: str
    version: str
    nats: Literal["connected", "gone"]
    projection: Rows
    clients: int
    warnings: list[str]
    detail: str | msgspec.UnsetType = msgspec.UNSET
    status_code: int | msgspec.UnsetType = msgspec.UNSET
