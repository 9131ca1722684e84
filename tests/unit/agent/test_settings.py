"""What a runner is told by the environment."""

import pytest

from benchwire.agent.settings import Settings
from benchwire.events.settings import InvalidSettings, load


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MAX_SESSIONS", "0", "BENCHWIRE_MAX_SESSIONS: Expected `int` >= 1"),
        ("MAX_TASKS", "-1", "BENCHWIRE_MAX_TASKS: Expected `int` >= 1"),
        ("ACK_WAIT_S", "0", "BENCHWIRE_ACK_WAIT_S: Expected `float` > 0.0"),
        ("MODEL_RETRIES", "-1", "BENCHWIRE_MODEL_RETRIES: Expected `int` >= 0"),
    ],
)
def test_a_number_with_which_nothing_would_ever_be_done_is_refused_by_name(
    name: str, value: str, sentence: str
) -> None:
    with pytest.raises(InvalidSettings, match=sentence):
        load(Settings, {f"BENCHWIRE_{name}": value})
