"""Leases as clients ask for them and see them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from benchwire.events.event import Name
from benchwire.observability.errors import Unusable
from benchwire.observability.queries import Lease

DEFAULT_FOR_S = 900.0
DEFAULT_WAIT_S = 10.0


class AskLease(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/leases``: who wants a board, which one or what it has to be like, and for how long.

    The call waits up to ``wait_s`` (30 at most); the request stays in the queue for ``patience_s``, by default as long as the call waits.
    """

    holder: Name
    device_id: str | None = None
    host: str | None = None
    profile: str | None = None
    labels: dict[str, str] = {}
    for_s: float = DEFAULT_FOR_S
    wait_s: float = DEFAULT_WAIT_S
    patience_s: float | None = None


class RenewLease(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/leases/{id}/renew``: for how long from now."""

    for_s: float = DEFAULT_FOR_S


def labels_of(given: Iterable[str]) -> dict[str, str]:
    """Labels that are written like ``rack=2``. Raises ``Unusable``."""
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise Unusable(f"label: {one[:60]!r} is not like rack=2")
        found[name] = value
    return found


def lease_view(lease: Lease) -> dict[str, Any]:
    """A lease, as in ``GET /api/leases``."""
    row = lease.row
    return {
        "lease_id": row["lease_id"],
        "holder": row["holder"],
        "state": lease.state,
        "host": row["host"] or row["wanted_host"],
        "device_id": row["device"] or row["wanted_device"],
        "profile": row["profile"],
        "labels": msgspec.json.decode(row["labels"]),
        "requested_at": row["requested_at"],
        "expires_at": row["expires_at"],
        "wait_until": row["wait_until"],
        "place": lease.place,
        "reason": lease.reason,
    }
