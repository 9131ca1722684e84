"""What the processes that ask about boards say to the agent."""

import msgspec


class Probe(msgspec.Struct, frozen=True):
    """A debug probe that pyocd sees. ``unique_id`` is empty for one that does not tell its serial number."""

    unique_id: str
    description: str


class IdentifyOrder(msgspec.Struct, frozen=True, kw_only=True, tag_field="with"):
    """Which board is to be asked what it is."""


class AskThroughPort(IdentifyOrder, frozen=True, kw_only=True, tag="esptool"):
    """``before`` is esptool's way into the loader."""

    port: str
    before: str


class AskThroughProbe(IdentifyOrder, frozen=True, kw_only=True, tag="pyocd"):
    """``probe`` is pyocd's unique id."""

    probe: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the chip said: its name, the profiles of boards with such a chip, and what else it tells. ``problem`` says why it said nothing."""

    chip: str | None = None
    profiles: list[str] = []
    serial_number: str | None = None
    flash_bytes: int | None = None
    problem: str | None = None


AnyIdentifyOrder = AskThroughPort | AskThroughProbe
