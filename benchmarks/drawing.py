"""Pictures of a run: for each scene with a rate or a time, a bar for each contender, the median, with the spread over the rounds."""

import statistics
from pathlib import Path

import matplotlib as mpl

from benchmarks.measuring import Outcome, Run

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "benchwire"  # the same figures give the same file
mpl.rcParams["svg.fonttype"] = "none"

from matplotlib import pyplot as plt  # noqa: E402 - after the choice of what draws

_OURS, _OTHERS = "#1f6feb", "#9aa4b2"
_SHOWN = {
    "post": ("delivered_per_s", "events a second, delivered"), "bulk": ("delivered_per_s", "events a second, delivered"),
    "fanout": ("read_per_s", "events read a second"), "latency": ("p99_ms", "p99 until a client has read it, ms"),
    "consume": ("read_per_s", "events a second"), "rebuild": ("events_per_s", "events a second"),
    "flat": ("delivered_per_s", "events a second, delivered"), "lists": ("page_ms", "a page of 200 events out of 1,000,000, ms"),
    "tags": ("tags_ms", "ms"), "upload": ("mb_per_s", "MB/s"),
}  # fmt: skip


def drawn(run: Run, folder: Path) -> dict[str, Path]:
    """Draws what can be drawn into ``folder``; the files by their scene."""
    return {
        outcome.scene: _bars(outcome, *_SHOWN[outcome.scene], folder / f"performance-{outcome.scene}.svg")
        for outcome in run.outcomes
        if outcome.scene in _SHOWN
    }


def _bars(outcome: Outcome, metric: str, label: str, file: Path) -> Path:
    # Who has no such figure is shown by the one that is nearest to it: what was acknowledged.
    shown = {
        who: figures.get(metric) or figures.get("acked_per_s") for who, figures in reversed(outcome.figures.items())
    }
    bars = {who: values for who, values in shown.items() if values}
    medians = [statistics.median(values) for values in bars.values()]
    below = [median - min(values) for median, values in zip(medians, bars.values(), strict=True)]
    above = [max(values) - median for median, values in zip(medians, bars.values(), strict=True)]
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.42 * len(bars)), layout="constrained")
    colors = [_OURS if who.startswith(("benchwire", "after")) else _OTHERS for who in bars]
    drawn = axes.barh(list(bars), medians, color=colors, xerr=[below, above], error_kw={"ecolor": "#555", "lw": 1})
    axes.bar_label(
        drawn, labels=[f"{median:,.0f}" if median >= 100 else f"{median:.1f}" for median in medians], padding=6
    )
    axes.set_xlabel(label)
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return file
