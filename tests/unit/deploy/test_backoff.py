"""How long a part that died has to wait."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from benchwire.deploy import backoff


def test_the_first_restart_comes_at_once_and_each_further_one_twice_as_late() -> None:
    assert [backoff.delay_s(deaths) for deaths in (1, 2, 3, 4)] == [0.25, 0.5, 1.0, 2.0]


@given(st.integers(min_value=1, max_value=10**9))
def test_no_delay_is_longer_than_the_longest(deaths: int) -> None:
    assert backoff.FIRST_S <= backoff.delay_s(deaths) <= backoff.LONGEST_S


def test_delays_never_shrink() -> None:
    assert all(earlier <= later for earlier, later in pairwise(backoff.delay_s(deaths) for deaths in range(1, 40)))
