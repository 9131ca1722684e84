"""What is done to the lab, and when: it follows from a seed."""

import random
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

import msgspec

T = TypeVar("T")
Kind = Literal[
    "killed", "stopped", "full disk", "torn WAL", "damaged pages", "clock jump", "slow disk", "cable pulled", "cable silent", "calls cut"
]  # fmt: skip

SERVICES = ("observability", "documents")
RUNNERS = ("agent", "agent-2")
_WITH_ROWS = (*SERVICES, *RUNNERS, "flash-agent")
_WITH_DISK = (*SERVICES, "flash-agent", "nats")
TARGETS: dict[Kind, tuple[str, ...]] = {
    "killed": (*_WITH_ROWS, "nats"),
    "stopped": (*_WITH_ROWS, "nats"),
    "full disk": _WITH_DISK,
    "torn WAL": _WITH_ROWS,
    "damaged pages": _WITH_ROWS,
    "clock jump": _WITH_ROWS,
    "slow disk": _WITH_ROWS,
    "cable pulled": _WITH_ROWS,
    "cable silent": _WITH_ROWS,
    "calls cut": SERVICES,
}
_LONGEST_PAUSE_S = 1.5


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One injection. It begins ``pause_s`` after the one before is over, holds for ``hold_s``, and ``chance`` (0 to 1) decides its details."""

    number: int
    kind: Kind
    target: str
    pause_s: float
    hold_s: float
    chance: float


def planned(seed: int, count: int, kinds: Sequence[Kind], *, hold_s: float) -> list[Fault]:
    """``count`` faults, every kind before any comes again; each kind goes through its targets in the same way.

    A fault lasts for ``hold_s``, or down to half of it; a stop for twice as long, see ``stop_s``.
    """
    chance = random.Random(seed)
    targets = {one: _endless(TARGETS[one], chance) for one in kinds}
    order = _endless(kinds, chance)
    return [
        Fault(
            number=number,
            kind=(kind := next(order)),
            target=next(targets[kind]),
            pause_s=round(chance.uniform(0.1, _LONGEST_PAUSE_S), 2),
            hold_s=stop_s(hold_s) if kind == "stopped" else round(hold_s * chance.uniform(0.5, 1.0), 2),
            chance=chance.random(),
        )
        for number in range(1, count + 1)
    ]


def stop_s(hold_s: float) -> float:
    """How long a process is stopped, which no fault outlasts. With ten seconds others take its work, and think it gone."""
    return 2 * hold_s


def _endless(things: Sequence[T], chance: random.Random) -> Iterator[T]:
    """All of ``things`` in some order, then all of them in another one."""
    while True:
        yield from chance.sample(things, len(things))
