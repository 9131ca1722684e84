"""What a search found, as clients know it."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchwire.observability.queries import Hit


def results(found: Sequence[Hit], names: Mapping[str, str], cursor: str | None) -> dict[str, Any]:
    """The answer; ``names`` are those of the sessions that are there: what is found of others was deleted a moment ago."""
    shown = [
        {
            "id": one.sequence,
            "session_id": one.session_id,
            "session_name": names[one.session_id],
            "event_type": one.event_type,
            "timestamp": one.at,
            "snippet": one.snippet,
        }
        for one in found
        if one.session_id in names
    ]
    return {"results": shown, "next_cursor": cursor}
