"""What a lab of a given size needs, from measured figures."""

import statistics
from collections.abc import Iterable

from benchmarks.measuring import Run

_HOSTS, _BOARDS, _SESSIONS = 50, 500, 2000
_EVENTS_A_SESSION = 250
_FLASHES_A_BOARD = 20
_FACTS_A_FLASH = 6
_LINES_A_BOARD_S = 1.0
_BYTES_A_LINE = 250
_UPLOAD_MB = 2.0
_FRAME_BYTES = 750
_LISTENERS = 50
_PEAK = 10  # times the average of the day
_DAY_S = 86_400
_LIVE_BYTES = 256 << 20
_ASSUMED = (
    f"{_HOSTS} hosts with {_BOARDS} boards; {_SESSIONS:,} sessions a day of {_EVENTS_A_SESSION} events each;",
    f"{_FLASHES_A_BOARD} flashes of each board a day, of {_FACTS_A_FLASH} facts each; {_LINES_A_BOARD_S:g} printed line a second from each",
    f"board; {_LISTENERS} WebSocket clients that watch everything; {_UPLOAD_MB:g} MB of documents from a session. The busiest minute",
    f"has {_PEAK} times the average of the day.",
)


def told(run: Run) -> Iterable[str]:
    """The calculation, as the page has it; nothing when the run lacks the scenes that it is made of."""
    if {"post", "lists", "bulk"} - {outcome.scene for outcome in run.outcomes}:
        return
    events = _SESSIONS * _EVENTS_A_SESSION + _BOARDS * _FLASHES_A_BOARD * _FACTS_A_FLASH
    average, peak = events / _DAY_S, _PEAK * events / _DAY_S
    service_us, nats_us = _of(run, "post", "cpu_us"), _of(run, "post", "nats_cpu_us")
    most = _of(run, "post", "delivered_per_s")
    log, rows, search = (_of(run, "lists", f"{name}_bytes") for name in ("log", "rows", "search"))
    lines = _BOARDS * _LINES_A_BOARD_S
    yield from _ASSUMED
    yield ""
    yield "| what | a lab of this size | how it follows |"
    yield "| --- | --- | --- |"
    live_minutes = _LIVE_BYTES / lines / _BYTES_A_LINE / 60
    rows_of_it: list[tuple[str, str, str]] = [
        ("events", f"{events:,} a day; {average:.1f}/s, {peak:.0f}/s at the peak", "sessions and flashes, as above"),
        ("head room", f"{most / peak:,.0f} times the peak", f"{most:,.0f}/s, one to a POST, were measured"),
        (
            "CPU of observability",
            f"{peak * service_us / 1e4:.1f} % of a core at the peak",
            f"{service_us:.0f} µs an event: the call, rows, search and one listener",
        ),
        (
            "CPU of nats-server",
            f"{peak * nats_us / 1e4:.1f} % of a core at the peak; {lines * nats_us / 1e4:.1f} % for what boards print",
            f"{nats_us:.0f} µs a message",
        ),
        (
            "disk of NATS, facts",
            f"{_gb(events * log)} a day, {_gb(365 * events * log)} a year",
            f"{log:.0f} bytes an event",
        ),
        (
            "disk of NATS, samples",
            f"{_gb(_LIVE_BYTES)} at most",
            f"the limit of the stream LIVE: {live_minutes:.0f} minutes of {lines:.0f} lines a second",
        ),
        (
            "disk of NATS, artifacts",
            f"{_gb(_SESSIONS * _UPLOAD_MB * 1e6)} a day, until they expire",
            f"{_UPLOAD_MB:g} MB a session",
        ),
        (
            "rows of observability",
            f"{_gb(events * rows)} a day, and {_gb(events * search)} for the search",
            f"{rows:.0f} and {search:.0f} bytes an event",
        ),
        (
            "network of observability",
            f"{peak * _FRAME_BYTES * _LISTENERS / 1e6:.1f} MB/s to clients at the peak",
            f"{_FRAME_BYTES} bytes a frame, {_LISTENERS} clients",
        ),
        (
            "network of a host",
            f"{lines / _HOSTS * _BYTES_A_LINE / 1e3:.1f} kB/s, and the images of its boards",
            f"{lines / _HOSTS:.0f} lines a second of {_BYTES_A_LINE} bytes",
        ),
    ]
    if any(outcome.scene == "memory" for outcome in run.outcomes):
        each = {
            name: _of(run, "memory", f"{name}_mb") for name in ("observability", "documents", "agent", "flash_agent")
        }
        both = each["observability"] + each["documents"]
        held = f"{both:.0f} MB for the two HTTP services, {each['agent']:.0f} MB a runner, {each['flash_agent']:.0f} MB a host"
        rows_of_it.append(("memory", held, "resident, as measured above"))
    for row in rows_of_it:
        yield f"| {' | '.join(row)} |"


def _of(run: Run, scene: str, metric: str) -> float:
    (outcome,) = (one for one in run.outcomes if one.scene == scene)
    return statistics.median(outcome.figures["benchwire"][metric])


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
