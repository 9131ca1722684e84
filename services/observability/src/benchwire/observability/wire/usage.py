"""Usage and cost as clients know them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchwire.events.prices import Prices
from benchwire.observability.projection.usage import COUNTS
from benchwire.observability.queries import Counted

_FIELDS = {"session": "session_id", "task": "task_id", "model": "model", "day": "day"}


class _Line:
    """Counts and cost of calls of several models. The cost is of those that have a price; none, when no call has one."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(COUNTS, 0)
        self._cost = 0.0
        self._unpriced = 0

    def add(self, counts: Sequence[int], model: str, prices: Prices) -> None:
        added = dict(zip(COUNTS, counts, strict=True))
        for name, number in added.items():
            self._counts[name] += number
        cost = prices.cost(model, added)
        if cost is None:
            self._unpriced += added["calls"]
        else:
            self._cost += cost

    def shown(self) -> dict[str, Any]:
        nothing_priced = self._unpriced and self._unpriced == self._counts["calls"]
        return {
            **self._counts,
            "cost_usd": None if nothing_priced else round(self._cost, 6),
            "unpriced_calls": self._unpriced,
        }


def sessions_among(found: Iterable[Counted], by: Sequence[str]) -> set[str]:
    """The sessions that lines ``by`` these keys tell of."""
    return {
        key for one in found for name, key in zip(by, one.keys, strict=True) if name == "session" and key is not None
    }


def usage(found: Iterable[Counted], by: Sequence[str], prices: Prices, names: Mapping[str, str]) -> dict[str, Any]:
    """Lines by ``by``, and the total. ``unpriced_calls`` are those whose model has no price, so that no cost counts them.

    ``names`` are those of sessions, by id.
    """
    lines: dict[tuple[str | None, ...], _Line] = {}
    total = _Line()
    for one in found:
        lines.setdefault(one.keys, _Line()).add(one.counts, one.model, prices)
        total.add(one.counts, one.model, prices)
    shown = [{**_head(by, keys, names), **line.shown()} for keys, line in lines.items()]
    return {"usage": shown, "total": total.shown()}


def _head(by: Sequence[str], keys: Sequence[str | None], names: Mapping[str, str]) -> dict[str, str | None]:
    head: dict[str, str | None] = {_FIELDS[name]: key for name, key in zip(by, keys, strict=True)}
    if "session_id" in head:
        session_id = head["session_id"]
        head["session_name"] = None if session_id is None else names.get(session_id, session_id)
    return head
