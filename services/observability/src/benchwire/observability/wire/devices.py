"""Devices as clients know them, and what clients ask of one."""

from typing import Any, Literal

import msgspec

from benchwire.observability.queries import Row, holder, labels

_MARKED = ("partial", "complete_unverified")


class Reset(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/devices/{id}/reset``: into its application, or into its boot loader."""

    mode: Literal["run", "download"] = "run"
    lease_id: str | None = None


class Power(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/devices/{id}/power``."""

    on: bool
    lease_id: str | None = None


class Identify(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/devices/{id}/identify``."""

    lease_id: str | None = None


def device_view(row: Row, *, host_is_up: bool | None, now: str) -> dict[str, Any]:
    """A device, as in ``GET /api/devices``. ``host_is_up`` is None while nobody can tell.

    ``needs_flash`` says that a job broke off: nobody knows that what its flash holds is what somebody wanted there.
    """
    lease = None
    if (who := holder(row, now)) is not None:
        lease = {"lease_id": row["lease_id"], "holder": who, "expires_at": row["lease_expires_at"]}
    state = "offline" if host_is_up is False else "busy" if row["job_id"] else "leased" if lease else "available"
    return {
        "device_id": row["device"],
        "host": row["host"],
        "port": row["port"],
        "board_type": row["profile"],
        "chip_name": row["chip"],
        "vid": row["vid"],
        "pid": row["pid"],
        "serial_number": row["serial_number"],
        "driver": row["driver"],
        "probe": row["probe"],
        "virtual": bool(row["virtual"]),
        "labels": labels(row),
        "state": state,
        "job_id": row["job_id"],
        "lease": lease,
        "since": row["since"],
        "flash_state": row["flash_state"],
        "needs_flash": row["flash_state"] in _MARKED,
        "flash_bytes": row["flash_bytes"],
        "problem": row["problem"],
        "identified_at": row["identified_at"],
        "handled": _handled(row),
    }


def _handled(row: Row) -> dict[str, Any] | None:
    if row["handled"] is None:
        return None
    return {"do": row["handled"], "by": row["handled_by"], "at": row["handled_at"]}
