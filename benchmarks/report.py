"""The figures of a run as text: tables for a terminal, and the parts of docs/performance.md that follow from them.

``python -m benchmarks.report`` writes these parts and the pictures anew from docs/performance.json.
"""

import statistics
from collections.abc import Iterable
from pathlib import Path

import msgspec

from benchmarks import drawing, needs
from benchmarks.apart import ROOT
from benchmarks.measuring import Outcome, Run, Verdict

DOCS = ROOT / "docs"
FIGURES = DOCS / "performance.json"
_PAGE = DOCS / "performance.md"


def text(outcome: Outcome) -> str:
    """A scene for a terminal."""
    lines = [f"{outcome.scene}: {outcome.about} ({outcome.rounds} rounds, {outcome.took_s:.0f} s)"]
    for who, metrics in outcome.figures.items():
        told = ", ".join(f"{metric} {spread(values)}" for metric, values in metrics.items())
        lines.append(f"  {who:34} {told}")
    for verdict in outcome.verdicts:
        met = "met" if verdict.is_met else "MISSED"
        lines.append(f"  {met:6}  {verdict.goal.what}: {_ratio(verdict)}, wanted {wanted(verdict)}")
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """The median, and the least and the most when they were not all the same."""
    middle = number(statistics.median(values))
    least, most = number(min(values)), number(max(values))
    return middle if least == most else f"{middle} [{least}..{most}]"


def number(value: float) -> str:
    """A figure with as many digits as mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def wanted(verdict: Verdict) -> str:
    """What the goal wants."""
    goal = verdict.goal
    return f"at least {goal.at_least:g}" if goal.at_least is not None else f"at most {goal.at_most:g}"


def _ratio(verdict: Verdict) -> str:
    if verdict.least == verdict.most:
        return _digits(verdict.median)
    return f"{_digits(verdict.median)} [{_digits(verdict.least)}..{_digits(verdict.most)}]"


def _digits(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 1 else number(value)


def write(run: Run) -> None:
    """Writes the measured parts of docs/performance.md, and the pictures."""
    pictures = drawing.drawn(run, DOCS)
    page = _PAGE.read_text()
    page = _put(page, "measured", _measured(run, pictures))
    page = _put(page, "needs", needs.told(run))
    _PAGE.write_text(page)


def _put(page: str, what: str, told: Iterable[str]) -> str:
    begin, end = f"<!-- {what}: begin", f"<!-- {what}: end -->"
    head, _, rest = page.partition(begin)
    first, _, rest = rest.partition("\n")
    _, _, tail = rest.partition(end)
    return f"{head}{begin}{first}\n\n" + "\n".join(told) + f"\n\n{end}{tail}"


def _measured(run: Run, pictures: dict[str, Path]) -> Iterable[str]:
    machine = run.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    hardware = f"{machine.cores} cores ({machine.cpu}), {machine.memory_gib:g} GiB, {machine.system}"
    yield f"Measured on {run.at:%Y-%m-%d}: {hardware}, Python {machine.python}, {packages}."
    yield f"Load average at the start {machine.load:g}." + (
        " A quick run: the figures say little." if run.quick else ""
    )
    yield ""
    yield "### Goals"
    yield ""
    yield "| goal | measured | wanted | |"
    yield "| --- | --- | --- | --- |"
    for outcome in run.outcomes:
        for one in outcome.verdicts:
            met = "met" if one.is_met else f"**missed**{': ' if one.goal.because else ''}{one.goal.because}"
            yield f"| {one.goal.what} | {_ratio(one)} | {wanted(one)} | {met} |"
    for outcome in run.outcomes:
        yield ""
        yield f"### {outcome.scene}"
        yield ""
        yield f"{outcome.about[0].upper()}{outcome.about[1:]}. {outcome.rounds} rounds."
        if (picture := pictures.get(outcome.scene)) is not None:
            yield ""
            yield f"![{outcome.scene}]({picture.name})"
        metrics = list(dict.fromkeys(metric for figures in outcome.figures.values() for metric in figures))
        yield ""
        yield f"| | {' | '.join(heading(metric) for metric in metrics)} |"
        yield f"| --- |{' --- |' * len(metrics)}"
        for who, figures in outcome.figures.items():
            cells = (spread(figures[metric]) if metric in figures else "" for metric in metrics)
            yield f"| {who} | {' | '.join(cells)} |"


_HEADINGS = {
    "delivered_per_s": "delivered a second", "acked_per_s": "acknowledged a second",
    "cpu_us": "CPU of the service, µs an event", "nats_cpu_us": "CPU of nats-server, µs an event", "p50_ms": "p50, ms", "p99_ms": "p99, ms",
    "answer_p50_ms": "p50 of the answer, ms", "answer_p99_ms": "p99 of the answer, ms", "cores": "cores used",
    "read_per_s": "read a second", "events_per_s": "events a second", "resident_mb": "resident, MB", "sessions_ms": "all sessions, ms",
    "page_ms": "page, ms", "tags_ms": "tags, ms", "mb_per_s": "MB/s", "log_bytes": "log, bytes an event", "rows_bytes": "rows, bytes an event",
    "search_bytes": "search, bytes an event",
}  # fmt: skip


def heading(metric: str) -> str:
    """A metric in words."""
    return _HEADINGS.get(metric) or metric.replace("_", " ").replace(" mb", ", MB")


def main() -> None:
    """Writes the page from the figures that are there."""
    write(msgspec.json.decode(FIGURES.read_bytes(), type=Run))


if __name__ == "__main__":
    main()
