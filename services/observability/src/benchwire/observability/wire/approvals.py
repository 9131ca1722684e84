"""Calls that wait for a person as clients know them."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from benchwire.events.event import Name
from benchwire.observability.approval import State
from benchwire.observability.queries import Row

_SHOWN = (
    "session_id", "tool_use_id", "tool_name", "tool_input", "asked_at", "expires_at", "state", "decided_at", "by", "reason",
)  # fmt: skip


Reason = Annotated[str, Meta(max_length=4000)]


class Decide(msgspec.Struct, kw_only=True):
    """Body of ``POST /sessions/{id}/approvals/{tool_use_id}``. ``by`` is who says so, where no token tells it."""

    approve: bool
    reason: Reason | None = None
    by: Name | None = None


def approval_view(row: Row, now: str) -> dict[str, Any]:
    """One of them; ``now`` is the time it is, as the rows have times."""
    shown = {name: row[name] for name in _SHOWN}
    is_over = row["state"] == State.WAITING and row["expires_at"] <= now
    state = State.EXPIRED if is_over else State(row["state"])
    return {**shown, "state": state, "tool_input": msgspec.json.decode(row["tool_input"])}
