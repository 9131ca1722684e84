from pathlib import Path

import pytest

from benchwire.events.prices import Price, Prices, read
from benchwire.events.settings import InvalidSettings

TOKENS = {"input_tokens": 1, "output_tokens": 10, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000}


def test_the_longest_beginning_of_a_name_says_the_price() -> None:
    prices = Prices({"m": Price(input=1.0, output=1.0), "m-2": Price(input=2.0, output=2.0)})
    assert prices.of("m-2-20261121") == Price(input=2.0, output=2.0)
    assert prices.of("m-1") == Price(input=1.0, output=1.0)
    assert prices.of("n") is None


def test_every_kind_of_token_has_its_price() -> None:
    prices = Prices({"m": Price(input=1e6, output=2e6, cache_write=3e6, cache_read=4e6)})
    assert prices.cost("m", TOKENS) == 1 + 20 + 300 + 4000
    assert prices.cost("n", TOKENS) is None


def test_the_table_that_is_shipped_knows_the_model_that_runners_use_by_default() -> None:
    assert read(None).of("claude-sonnet-5-5") is not None
    assert read(None).of("another") is None


@pytest.mark.parametrize(
    "text", ["", "models = 1", "[models.m]\ninput = 1.0", "[models.m]\ninput = 1.0\noutput = 1.0\nimput = 2.0", "[["]
)
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match=r"BENCHWIRE_PRICES_FILE: .*prices\.toml"):
        read(path)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="BENCHWIRE_PRICES_FILE"):
        read(tmp_path / "missing.toml")
