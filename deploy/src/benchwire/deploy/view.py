"""The demo on a terminal: a picture of the state, drawn with rich. Pure."""

import re
from collections.abc import Sequence

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchwire.deploy.demo_checks import Check
from benchwire.deploy.state import Job, Node, Retry, State
from benchwire.deploy.story import shown, size
from benchwire.events.task import AssertionResult

_STAGE_STYLES = {
    "succeeded": "bold green", "failed": "bold red", "does not build": "red", "simulation failed": "red", "waiting": "dim",
}  # fmt: skip
_JOB_STYLES = {"completed": "green", "failed": "red", "cancelled": "red"}
_STATUS_STYLES = {"finished": "bold green", "failed": "bold red", "cancelled": "bold red"}
_BAR_WIDTH = 12


class Room(Struct, frozen=True, kw_only=True):
    """How many lines there are for the details of a node, and for what a board prints.

    The panels keep their heights while the demo runs, so that nothing jumps.
    """

    tries: int = 2
    assertions: int = 4
    output: int = 5
    jobs: int = 2
    serial: int = 6

    @property
    def node(self) -> int:
        """The lines inside of a node's panel: headline, flash, RAM, tests, image and board, and the details."""
        return 6 + self.tries + self.assertions + self.output


def room_in(rows: int, jobs: int = 2) -> Room:
    """What fits into a terminal of ``rows``, the most telling first; the least that makes sense needs 24."""
    least = Room(assertions=0, output=0, jobs=jobs, serial=5)
    frames = 2 + 2 + 2  # of the nodes, the flash jobs and the serial ports
    spare = rows - 1 - (least.node + least.jobs + least.serial + frames + 1)
    full = Room()
    assertions = full.assertions if spare >= full.assertions else 0
    output = max(0, min(full.output, spare - assertions)) if assertions else 0
    left = spare - assertions - output
    return Room(assertions=assertions, output=output, jobs=jobs, serial=full.serial if left > 0 else least.serial)


def picture(state: State, room: Room | None = None) -> RenderableType:
    """Everything at once: the nodes side by side, their flash jobs, what the boards print, and the counters."""
    room = room or Room()
    return Group(_nodes(state, room), _jobs(state, room), _serial(state, room), _foot(state))


def table_of(checks: Sequence[Check]) -> Table:
    """The checks, one line each."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    for one in checks:
        mark, style = ("ok", "green") if one.passed else ("MISSING", "bold red")
        table.add_row(Text(mark, style), Text(one.what), Text(shown(one.detail, 90), "" if not one.passed else "dim"))
    return table


def _line(text: str = "", style: str = "") -> Text:
    """One line, and never more than one: what does not fit is cut off."""
    return Text(text, style, no_wrap=True, overflow="ellipsis")


def _panel(title: str, rows: Sequence[RenderableType], height: int) -> Panel:
    return Panel(Group(*rows), title=title, title_align="left", height=height + 2)


def _nodes(state: State, room: Room) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 1))
    for _ in state.nodes:
        grid.add_column(ratio=1)
    if not state.nodes:
        return _panel("nodes", [_line("the task is not there yet", "dim")], room.node)
    grid.add_row(*(_node(node, room) for node in state.nodes.values()))
    return grid


def _node(node: Node, room: Room) -> Panel:
    rows: list[RenderableType] = [_headline(node)]
    rows += [_try(one) for one in node.retries[-room.tries :]]
    if node.builds is False and not _is_told(node):
        rows.append(_line(f"try {node.iteration}  {_brief(_telling(node.diagnostics)) or 'failed'}", "red"))
    rows += [_fact("flash", _memory(node.flash_bytes, node.flash_limit_bytes))]
    rows += [_fact("RAM", _memory(node.ram_bytes, node.ram_limit_bytes)), _fact("tests", _tests(node))]
    rows += [_assertion(one) for one in node.assertions[: room.assertions]]
    rows += [_line(f"  | {shown(line, 200)}", "dim") for line in node.output[-room.output :] if room.output]
    if node.image is not None:
        rows.append(_fact("image", _line(f"{size(node.image.size_bytes)}, sha256 {node.image.digest[:12]}")))
    if node.line:
        rows.append(_fact("board", _line(shown(node.line, 200), "bold green")))
    if node.reason:
        rows.append(Text(shown(node.reason), "bold red"))
    return _panel(f"{node.node_id} ({node.board})", rows, room.node)


def _headline(node: Node) -> Text:
    line = _line()
    return line.append(f"try {node.iteration or '-'}  ").append(node.stage, _STAGE_STYLES.get(node.stage, "yellow"))


def _try(one: Retry) -> Text:
    return _line(f"try {one.iteration}  {_brief(one.why) or one.stage}", "red")


def _brief(complaint: str) -> str:
    """A compiler's complaint without what a narrow panel has no room for."""
    return re.sub(r"^\S+?:(\d+):\d+: error: ", r"line \1: ", complaint)


def _is_told(node: Node) -> bool:
    """Whether the try that does not build is among those that ended."""
    return any(one.iteration == node.iteration for one in node.retries) or node.stage == "generating"


def _telling(diagnostics: Sequence[str]) -> str:
    found = next((line for line in diagnostics if "error" in line), diagnostics[0] if diagnostics else "")
    return shown(found, 200)


def _assertion(one: AssertionResult) -> Text:
    return (
        _line().append("  + " if one.passed else "  - ", "green" if one.passed else "red").append(shown(one.name, 200))
    )


def _tests(node: Node) -> Text:
    if not node.outcome:
        return _line("-")
    held = sum(one.passed for one in node.assertions)
    return _line(f"{node.outcome}, {held} of {len(node.assertions)} hold", "green" if node.simulated else "red")


def _memory(used_bytes: int, limit_bytes: int) -> Text:
    if limit_bytes == 0 or used_bytes == 0:
        return _line("-")
    return _line(f"{size(used_bytes)} of {size(limit_bytes)} ({used_bytes / limit_bytes:.1%})")


def _fact(name: str, value: RenderableType) -> Table:
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(width=5, style="dim")
    row.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    row.add_row(name, value)
    return row


def _jobs(state: State, room: Room) -> RenderableType:
    height = max(room.jobs, len(state.jobs))
    if not state.jobs:
        return _panel("flash jobs", [_line("nothing is flashed yet", "dim")], height)
    table = Table.grid(padding=(0, 2), expand=True)
    for ratio in (None, None, None, 1):
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=ratio)
    for job in sorted(state.jobs.values(), key=lambda one: _place_of(one.device, state)):
        bar = ProgressBar(
            total=job.total_bytes or None, completed=job.done_bytes, width=_BAR_WIDTH, pulse=False,
            style="grey37", complete_style="yellow", finished_style="green",
        )  # fmt: skip
        style = _JOB_STYLES.get(job.stage, "yellow")
        table.add_row(
            _line(job.device), _line(job.stage, style), bar if job.total_bytes else _line(), _line(_done(job))
        )
    return _panel("flash jobs", [table], height)


def _done(job: Job) -> str:
    if job.stage == "completed":
        # What verified it stands before the colon, how it did that after it.
        return (
            f"{size(job.total_bytes)} in {job.duration_s:.1f} s, verified by {shown(job.verified_by.split(':')[0], 30)}"
        )
    told = f"{size(job.done_bytes)} of {size(job.total_bytes)}"
    if job.speed_bytes_per_s:
        told += f", {size(job.speed_bytes_per_s)}/s"
    return shown(f"{told}, {job.error}" if job.error else told, 200)


def _serial(state: State, room: Room) -> RenderableType:
    devices = {one.device for one in state.jobs.values()} | set(state.serial)
    if not devices:
        return _panel("serial ports", [_line("the boards are silent", "dim")], room.serial)
    grid = Table.grid(expand=True, padding=(0, 1))
    panels = []
    for device in sorted(devices, key=lambda one: (_place_of(one, state), one)):
        grid.add_column(ratio=1)
        lines = [_line(shown(line, 200)) for line in state.serial.get(device, ())[-room.serial :]]
        panels.append(_panel(f"{device} prints", lines, room.serial))
    grid.add_row(*panels)
    return grid


def _place_of(device: str, state: State) -> int:
    """The boards stand in the order of the nodes that are on them."""
    jobs = [node.job_id for node in state.nodes.values()]
    return next(
        (jobs.index(one.job_id) for one in state.jobs.values() if one.device == device and one.job_id in jobs), 99
    )


def _foot(state: State) -> Text:
    line = _line()
    line.append(state.task_id or "no task yet", "cyan").append(
        f"  {state.status}", _STATUS_STYLES.get(state.status, "")
    )
    line.append(f"  {state.facts} events, {state.samples} live samples", "dim")
    if state.reason:
        line.append(f"  {shown(state.reason)}", "bold red")
    return line
