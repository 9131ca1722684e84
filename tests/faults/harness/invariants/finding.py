"""What an invariant comes to, and what all of them look at."""

from collections.abc import Iterable

import msgspec

from benchwire.events.bus import Bus
from benchwire.events.catalog import FACTS
from benchwire.events.log import Log, Recorded

_SHOWN = 12  # of the things that are wrong, in a sentence


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one invariant came to: ``figures`` are what was counted, ``wrong`` is everything that should not be."""

    invariant: str
    figures: dict[str, int]
    wrong: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


def check(findings: Iterable[Finding]) -> None:
    """Raises ``AssertionError`` with everything that is wrong."""
    broken = [one for one in findings if not one.holds]
    said = [f"{one.invariant}: {len(one.wrong)} wrong: " + "; ".join(one.wrong[:_SHOWN]) for one in broken]
    assert not said, "\n".join(said)


async def story(bus: Bus) -> list[Recorded]:
    """Every fact in the log, oldest first."""
    return [one async for one in Log(bus).read([FACTS])]
