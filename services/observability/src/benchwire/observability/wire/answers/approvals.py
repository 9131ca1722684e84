"""Calls that wait for a person, and messages of people."""

from typing import Any, Literal

import msgspec

from benchwire.observability.approval import State


class Approval(msgspec.Struct, kw_only=True):
    """A call of a tool that a person is asked about; ``reason`` is why it was decided so."""

    session_id: str
    tool_use_id: str
    tool_name: str
    tool_input: dict[str, Any]
    asked_at: str
    expires_at: str
    state: State
    decided_at: str | None
    by: str | None
    reason: str | None


class Approvals(msgspec.Struct):
    """Calls, in the order in which they were asked about."""

    approvals: list[Approval]


class Decided(msgspec.Struct):
    """A call that was decided."""

    ok: Literal[True]
    approval: Approval


class MessageTaken(msgspec.Struct):
    """A message that the session will hear: at its next turn (``queued``), or now, because it had ended and goes on (``resumed``)."""

    ok: Literal[True]
    session_id: str
    message_id: str
    status: Literal["queued", "resumed"]
