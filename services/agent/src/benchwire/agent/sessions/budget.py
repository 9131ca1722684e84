"""What a session may spend, and whether it has: decided from the model calls of its present run, without a clock of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from benchwire.agent.errors import GivenUp
from benchwire.events.prices import Prices
from benchwire.events.session import Budget, ModelUsed

Number = TypeVar("Number", int, float)


def tighter(one: Budget | None, other: Budget | None) -> Budget:
    """A budget that holds what both do."""
    one, other = one or Budget(), other or Budget()
    return Budget(
        max_tokens=_least(one.max_tokens, other.max_tokens),
        max_usd=_least(one.max_usd, other.max_usd),
        max_wall_s=_least(one.max_wall_s, other.max_wall_s),
    )


def _least(one: Number | None, other: Number | None) -> Number | None:
    given = [value for value in (one, other) if value is not None]
    return min(given) if given else None


def check_price(budget: Budget, model: str, prices: Prices) -> None:
    """Raises ``GivenUp`` when there is a limit in dollars and nobody knows what ``model`` costs."""
    if budget.max_usd is not None and prices.of(model) is None:
        raise GivenUp(
            f"the budget is {budget.max_usd:g} US dollars, and there is no price for the model {model!r}; name its price in "
            "BENCHWIRE_PRICES_FILE of the agent runner, use another model, or limit tokens instead",
            "budget_usd",
        )


def check(budget: Budget, used: Sequence[ModelUsed], *, model: str, prices: Prices) -> None:
    """Raises ``GivenUp`` when tokens or dollars are used up: the next call of the model would be over the limit.

    An endpoint may name a model that has no price; it costs what ``model``, which was asked for, does.
    """
    tokens = sum(sum(_tokens(one).values()) for one in used)
    if budget.max_tokens is not None and tokens >= budget.max_tokens:
        raise GivenUp(f"the session used {tokens} of its {budget.max_tokens} tokens", "budget_tokens")
    if budget.max_usd is None:
        return
    spent = sum(_cost(one, model, prices) for one in used)
    if spent >= budget.max_usd:
        raise GivenUp(f"the session spent {spent:.4f} of its {budget.max_usd:g} US dollars", "budget_usd")


def wall_left_s(budget: Budget, began_at: datetime, now: datetime) -> float | None:
    """How many seconds of the run are left, at least 0; None when nobody limits them."""
    if budget.max_wall_s is None:
        return None
    return max(0.0, budget.max_wall_s - (now - began_at).total_seconds())


def wall_is_up(budget: Budget) -> GivenUp:
    """What is raised when no seconds are left."""
    return GivenUp(f"the session's time of {budget.max_wall_s or 0:g} s was up", "budget_wall")


def _cost(used: ModelUsed, model: str, prices: Prices) -> float:
    tokens = _tokens(used)
    cost = prices.cost(used.model, tokens)
    return cost if cost is not None else prices.cost(model, tokens) or 0.0


def _tokens(used: ModelUsed) -> dict[str, int]:
    return {
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "cache_creation_input_tokens": used.cache_creation_input_tokens,
        "cache_read_input_tokens": used.cache_read_input_tokens,
    }
