"""What a session may spend, from the model calls of its run."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchwire.agent.errors import GivenUp
from benchwire.agent.sessions import budget
from benchwire.events.prices import Price, Prices
from benchwire.events.session import Budget, ModelUsed

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
PRICES = Prices({"m": Price(input=1e6, output=2e6, cache_write=3e6, cache_read=4e6)})


def used(model: str = "m-1", input_tokens: int = 0, output_tokens: int = 0, **cached: Any) -> ModelUsed:
    return ModelUsed(
        timestamp=NOW, session_id="s", model=model, input_tokens=input_tokens, output_tokens=output_tokens, **cached
    )


def spends(limit: Budget, *calls: ModelUsed) -> str | None:
    try:
        budget.check(limit, calls, model="m-1", prices=PRICES)
    except GivenUp as problem:
        return problem.code
    return None


def test_the_tighter_limit_of_each_kind_holds() -> None:
    one, other = Budget(max_tokens=5, max_usd=2.0), Budget(max_tokens=7, max_usd=1.0, max_wall_s=9.0)
    assert budget.tighter(one, other) == budget.tighter(other, one) == Budget(max_tokens=5, max_usd=1.0, max_wall_s=9.0)
    assert budget.tighter(None, None) == Budget()


def test_every_kind_of_token_counts() -> None:
    calls = [used(input_tokens=1, output_tokens=2), used(cache_creation_input_tokens=3, cache_read_input_tokens=4)]
    assert spends(Budget(max_tokens=11), *calls) is None
    assert spends(Budget(max_tokens=10), *calls) == "budget_tokens"
    assert spends(Budget(max_usd=30.1), *calls) is None
    assert spends(Budget(max_usd=30.0), *calls) == "budget_usd"
    assert spends(Budget(), *calls) is None


def test_an_endpoint_that_names_a_model_without_a_price_is_paid_as_what_was_asked_for() -> None:
    assert spends(Budget(max_usd=2.0), used(model="proxy-model", output_tokens=1)) == "budget_usd"


def test_dollars_need_a_price() -> None:
    budget.check_price(Budget(max_usd=1.0), "m-2", PRICES)
    budget.check_price(Budget(max_tokens=1), "other", PRICES)
    with pytest.raises(GivenUp, match="no price for the model 'other'"):
        budget.check_price(Budget(max_usd=1.0), "other", PRICES)


def test_time_left_is_never_less_than_none() -> None:
    assert budget.wall_left_s(Budget(), NOW, NOW) is None
    assert budget.wall_left_s(Budget(max_wall_s=10), NOW, NOW + timedelta(seconds=4)) == 6
    assert budget.wall_left_s(Budget(max_wall_s=10), NOW, NOW + timedelta(seconds=40)) == 0
