"""What tokens cost. The table that is shipped says of when it is; a lab with other models or contracts names its own."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import msgspec

from benchwire.events.settings import InvalidSettings

_PER = 1_000_000


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars per million tokens."""

    input: float
    output: float
    cache_write: float = 0.0
    cache_read: float = 0.0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, Price]


class Prices:
    """Prices by the beginning of a model's name."""

    def __init__(self, table: Mapping[str, Price]) -> None:
        self._table = dict(table)

    def of(self, model: str) -> Price | None:
        """The price of ``model``: that of the longest name it begins with. None when nobody said one."""
        fitting = [name for name in self._table if model.startswith(name)]
        return self._table[max(fitting, key=len)] if fitting else None

    def cost(self, model: str, tokens: Mapping[str, int]) -> float | None:
        """What ``tokens`` cost in US dollars; their names are those of ``model_usage``. None when ``model`` has no price."""
        price = self.of(model)
        if price is None:
            return None
        return (
            tokens["input_tokens"] * price.input
            + tokens["output_tokens"] * price.output
            + tokens["cache_creation_input_tokens"] * price.cache_write
            + tokens["cache_read_input_tokens"] * price.cache_read
        ) / _PER


def read(path: Path | None) -> Prices:
    """The prices in the file at ``path``, or those that are shipped. Raises ``InvalidSettings``."""
    try:
        text = path.read_bytes() if path is not None else (files(__package__) / "prices.toml").read_bytes()
        return Prices(msgspec.toml.decode(text, type=_File).models)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise InvalidSettings(f"BENCHWIRE_PRICES_FILE: {path} cannot be used: {error}") from error
