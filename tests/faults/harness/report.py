"""What a run came to, for people (Markdown) and for programs (JSON)."""

import statistics
from collections import defaultdict
from pathlib import Path

import msgspec

from .invariants import Finding


class Injected(msgspec.Struct, frozen=True, kw_only=True):
    """One fault as it went: ``at_s`` after the load began, what was under way then, and how long the part took to get well afterwards."""

    number: int
    kind: str
    target: str
    what: str
    at_s: float
    recovered_s: float
    under_way: dict[str, int]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``answers`` counts how calls went, by status or by what broke; ``missing`` are the kinds that this machine did not allow."""

    seed: int
    again: str
    faults: list[Injected]
    missing: dict[str, str]
    load_s: float
    acknowledged: dict[str, int]
    answers: dict[str, int]
    repeated: int
    unresolved: int
    findings: list[Finding]

    @property
    def holds(self) -> bool:
        """Whether every invariant does."""
        return all(one.holds for one in self.findings)

    def written(self, folder: Path) -> Path:
        """Writes both forms into ``folder``; returns where the one for people is."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"faults-{self.seed}.json").write_bytes(msgspec.json.format(msgspec.json.encode(self)))
        page = folder / f"faults-{self.seed}.md"
        page.write_text(self.text())
        return page

    def text(self) -> str:
        """For people."""
        return "\n".join(
            [
                f"# {len(self.faults)} faults, seed {self.seed}: {'everything held' if self.holds else 'NOT everything held'}",
                "",
                f"Again: `{self.again}`. The load ran for {self.load_s:.0f} s.",
                *(
                    ["", "Left out here:", *(f"- {kind}: {why}" for kind, why in self.missing.items())]
                    if self.missing
                    else []
                ),
                "",
                "## What was promised",
                "",
                f"{_counted(self.acknowledged)}.",
                f"Calls were answered with {_counted(self.answers)}; {self.repeated} were repeated, {self.unresolved} given up.",
                "",
                "## Invariants",
                "",
                *(line for one in self.findings for line in _finding(one)),
                "",
                "## Recovery, by kind",
                "",
                "| kind | faults | median s | longest s |",
                "| --- | ---: | ---: | ---: |",
                *self._recovery(),
                "",
                "## Faults",
                "",
                "| # | at s | part | fault | well after s | under way |",
                "| ---: | ---: | --- | --- | ---: | --- |",
                *map(_row, self.faults),
                "",
            ]
        )

    def _recovery(self) -> list[str]:
        by_kind: defaultdict[str, list[float]] = defaultdict(list)
        for one in self.faults:
            by_kind[one.kind].append(one.recovered_s)
        return [
            f"| {kind} | {len(took)} | {statistics.median(took):.1f} | {max(took):.1f} |"
            for kind, took in sorted(by_kind.items())
        ]


def _finding(one: Finding) -> list[str]:
    line = f"- {'holds' if one.holds else '**BROKEN**'}: {one.invariant} ({_counted(one.figures)})"
    return [line, *(f"  - {wrong}" for wrong in one.wrong)]


def _row(one: Injected) -> str:
    under_way = _counted({what: count for what, count in one.under_way.items() if count})
    return f"| {one.number} | {one.at_s:.1f} | {one.target} | {one.kind}: {one.what} | {one.recovered_s:.1f} | {under_way} |"


def _counted(figures: dict[str, int]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in figures.items())
