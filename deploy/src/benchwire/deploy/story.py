"""What happened, in words: one sentence per event. Pure.

Everything that comes from a board, a model or a client is shown on one line, shortened, and without control characters, which could
else take over the terminal.
"""

import re
from datetime import datetime
from typing import Any, assert_never

import msgspec

from benchwire.events import blueprint, device, document, flash, host, lease, live, serial, session, task
from benchwire.events.event import Event
from benchwire.events.journal import printable

_LONGEST = 120
_LONGEST_SENTENCE = 4000
_MEANT_FOR_TERMINALS = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_KIB = 1024


def sentence(event: Event) -> str:
    """The facts in ``event`` that a person wants to see; its time, subject and kind are not repeated."""
    return shown(_sentence(event), _LONGEST_SENTENCE)  # whoever wrote the event need not have been a part of this lab


def _sentence(event: Event) -> str:  # noqa: C901, PLR0911 - one line per union
    if isinstance(event, session.SessionEvent):
        return _session(event)
    if isinstance(event, task.TaskEvent):
        return _task(event)
    if isinstance(event, flash.FlashEvent):
        return _flash(event)
    if isinstance(event, device.DeviceEvent):
        return _device(event)
    if isinstance(event, lease.LeaseEvent):
        return _lease(event)
    if isinstance(event, serial.SerialEvent):
        return _serial(event)
    if isinstance(event, live.LiveEvent):
        return _live(event)
    if isinstance(event, document.DocumentEvent):
        return _document(event)
    if isinstance(event, blueprint.BlueprintEvent):
        return _blueprint(event)
    if isinstance(event, host.HostEvent):
        return _host(event)
    raise TypeError(f"{type(event).__name__} is in none of the unions of events")


def shown(text: object, longest: int = _LONGEST) -> str:
    """``text`` as one line of at most ``longest`` printable characters; control characters are escaped."""
    line = " ".join(str(text).split())
    line = line if len(line) <= longest else line[: longest - 1] + "…"
    return printable(line)


def json_text(value: Any) -> str:
    """``value`` as a line of JSON that cannot take over the terminal either: JSON alone lets some control characters stand."""
    return _MEANT_FOR_TERMINALS.sub(lambda found: f"\\u{ord(found.group()):04x}", msgspec.json.encode(value).decode())


def size(count_bytes: float) -> str:
    """``count_bytes`` in the unit that reads best."""
    amount = float(count_bytes)
    for unit in ("B", "KiB", "MiB"):
        if amount < _KIB:
            return f"{amount:.0f} {unit}" if unit == "B" or amount == int(amount) else f"{amount:.1f} {unit}"
        amount /= _KIB
    return f"{amount:.1f} GiB"


def first_problem(diagnostics: str) -> str:
    """The line of the compiler's output that says most: the first error, else the first warning, else the first line."""
    lines = [line for line in diagnostics.splitlines() if line.strip()]
    for word in ("error:", "warning:"):
        for line in lines:
            if word in line:
                return shown(line)
    upto = 2 if lines and lines[0].endswith(":") else 1  # "It failed:", and then what failed
    return shown(" ".join(lines[:upto]))


def _session(event: session.SessionEvent) -> str:  # noqa: C901, PLR0911, PLR0912 - one line per kind of event
    match event:
        case session.SessionRequested():
            return f"{shown(event.agent_name or 'an agent', 40)} is asked: {shown(event.prompt)}"
        case session.SessionClaimed():
            return f"by runner {event.runner}{_again(event.attempt)}"
        case session.SessionStarted():
            origin = event.forked_from_session_id
            forked = f"forked from {shown(origin, 60)}" if origin else None
            return _joined(shown(event.session_name or "", 60), event.agent_name, event.project_dir, forked)
        case session.MessageRequested():
            return _joined(shown(event.text), f"by {shown(event.by, 40)}" if event.by else None)
        case session.ToolApprovalRequested():
            asked = f"{shown(event.tool_name, 40)} {_arguments(event.tool_input)}"
            return f"{asked} waits for a yes until {event.expires_at:%H:%M:%S} UTC"
        case session.ToolDecided():
            who = f"by {shown(event.by, 40)}" if event.by else None
            return _joined(
                f"{shown(event.tool_use_id, 40)} {'may' if event.approved else 'must not'} run", who, event.reason
            )
        case session.MessageSent():
            return f"{shown(event.role, 20)}: {shown(_text_of(event.content))}"
        case session.ToolCalled():
            return f"{shown(event.tool_name, 40)} {_arguments(event.tool_input)}"
        case session.ToolReturned(error=None):
            return f"{shown(event.tool_name, 40)} answered{_took(event.duration_s)}: {shown(event.tool_output)}"
        case session.ToolReturned():
            return f"{shown(event.tool_name, 40)} failed{_took(event.duration_s)}: {shown(event.error)}"
        case session.ModelUsed():
            tokens = f"{event.input_tokens} tokens in, {event.output_tokens} out"
            return f"{shown(event.model, 40)}: {tokens}{_took(event.duration_s)}"
        case session.SessionEnded():
            return _joined(f"exit code {event.exit_code}", event.reason)
        case session.SessionFailed():
            return shown(event.reason)
        case session.SessionStopRequested() | session.SessionStopped():
            return shown(event.reason or "")
        case session.SessionDescribed():
            return _joined(event.session_name, event.project_dir, event.agent_name)
        case session.SessionDeleted():
            return "its events are no longer shown"
    assert_never(event)


def _task(event: task.TaskEvent) -> str:  # noqa: PLR0911 - one line per kind of event
    if isinstance(event, _OF_WORK):
        return f"{shown(event.node_id, 40)}: {_work(event)}"
    if isinstance(event, _OF_PROOF):
        return f"{shown(event.node_id, 40)}: {_proof(event)}"
    match event:
        case task.TaskRequested():
            boards = ", ".join(shown(node.board, 30) for node in event.nodes if node.board) or event.board
            return _joined(event.kind, boards and f"for {boards}", event.prompt and f'"{shown(event.prompt, 80)}"')
        case task.TaskClaimed():
            return f"by runner {event.runner}{_again(event.attempt)}"
        case task.TaskPlanned():
            nodes = ", ".join(
                shown(node.node_id, 40) + (f" ({shown(node.board, 30)})" if node.board else "") for node in event.nodes
            )
            return f"{len(event.nodes)} node{'s' * (len(event.nodes) != 1)}: {nodes}"
        case task.TaskGuided():
            return f"{shown(event.node_id or 'every node', 40)}: {shown(event.guidance)}"
        case task.TaskFinished():
            return f"every node succeeded, after {event.duration_s:.1f} s"
        case task.TaskFailed():
            return shown(event.reason)
        case task.TaskCancelRequested() | task.TaskCancelled():
            return shown(event.reason or "")
    assert_never(event)


_OfWork = (
    task.NodeStarted | task.NodeGenerated | task.NodeCompiled | task.NodeSimulated | task.NodeTested | task.NodeRetried
)
_OfProof = (
    task.NodeImageStored
    | task.NodeAssigned
    | task.NodeDeploying
    | task.NodeDeployed
    | task.NodeSucceeded
    | task.NodeFailed
)
_OF_WORK = (
    task.NodeStarted, task.NodeGenerated, task.NodeCompiled, task.NodeSimulated, task.NodeTested, task.NodeRetried
)  # fmt: skip
_OF_PROOF = (
    task.NodeImageStored,
    task.NodeAssigned,
    task.NodeDeploying,
    task.NodeDeployed,
    task.NodeSucceeded,
    task.NodeFailed,
)


def _work(event: _OfWork) -> str:  # noqa: PLR0911 - one line per kind of event
    match event:
        case task.NodeStarted():
            return f"{f'for {shown(event.board, 30)}' if event.board else 'begun'}{_again(event.attempt)}"
        case task.NodeGenerated():
            lines = sum(text.count("\n") for text in event.sources.values())
            author = shown(event.model, 40) if event.model else "a person"
            return f"try {event.iteration}: {lines} lines by {author}{_took(event.duration_s or None)}"
        case task.NodeCompiled(ok=False):
            return f"try {event.iteration}: does not build: {first_problem(event.diagnostics) or 'no reason was given'}"
        case task.NodeCompiled():
            flash_ = f"flash {size(event.flash_bytes)} of {size(event.flash_limit_bytes)}"
            return (
                f"try {event.iteration}: builds, {flash_}, RAM {size(event.ram_bytes)} of {size(event.ram_limit_bytes)}"
            )
        case task.NodeSimulated():
            missed = [one for one in event.assertions if not one.passed]
            kept = f"{len(event.assertions) - len(missed)} of {len(event.assertions)} assertions hold"
            why = "; ".join(f"{shown(one.name, 40)}: {shown(one.detail)}" for one in missed if one.required)
            return f"try {event.iteration}: {_joined(event.outcome, kept, why, event.simulator_error)}"
        case task.NodeTested():
            tests = f"{event.tests_passed} of {event.tests_passed + event.tests_failed} tests pass"
            return f"try {event.iteration}: {_joined(shown(event.outcome, 20), tests, f'quality {event.quality_score:.2f}')}"
        case task.NodeRetried():
            return f"try {event.iteration} ended at {shown(event.stage, 20)}; {first_problem(event.feedback)}"
    assert_never(event)


def _proof(event: _OfProof) -> str:
    match event:
        case task.NodeImageStored():
            return f"{size(event.image.size_bytes)}, sha256 {event.image.digest[:12]}"
        case task.NodeAssigned():
            return f"for {_joined(event.device, event.host)}" if event.device else "for no board in particular"
        case task.NodeDeploying():
            return f"onto {event.device} at {event.host} ({event.job_id})"
        case task.NodeDeployed():
            return f"{event.device} printed: {shown(event.line)}"
        case task.NodeSucceeded():
            return f"after {event.iterations} {'try' if event.iterations == 1 else 'tries'}"
        case task.NodeFailed():
            return shown(event.reason)
    assert_never(event)


def _flash(event: flash.FlashEvent) -> str:  # noqa: C901, PLR0911, PLR0912 - one line per kind of event
    match event:
        case flash.FlashRequested():
            return f"{size(event.image.size_bytes)} onto {event.device} at {event.address:#010x}"
        case flash.FlashStarted():
            return f"{event.device}, {size(event.total_bytes)} with {shown(event.driver, 30)}{_again(event.attempt)}"
        case flash.FlashPaused() | flash.FlashResumed():
            return event.device
        case flash.FlashCompleted():
            done = f"{size(event.total_bytes)} in {event.duration_s:.1f} s"
            return f"{event.device}, {done}, verified by {shown(event.verified_by, 60)}"
        case flash.FlashFailed():
            return (
                f"{event.device}: {shown(event.error)} ({shown(event.code, 40)}; flash {shown(event.flash_state, 30)})"
            )
        case flash.FlashCancelled():
            return _joined(f"{event.device}, flash {shown(event.flash_state, 30)}", event.reason)
        case flash.FlashCancelRequested():
            return shown(event.reason or "")
        case flash.FlashPauseRequested() | flash.FlashResumeRequested():
            return ""
        case flash.FlashPauseDeferred():
            return f"{event.device} cannot hold while {shown(event.stage, 20)}; it will when {shown(event.until, 60)}"
        case flash.FlashThrottleRequested():
            return _rate(event.max_bytes_per_s)
        case flash.FlashThrottled():
            return f"{event.device}, {_rate(event.max_bytes_per_s)}"
        case flash.FlashRetried():
            why = f"{shown(event.error)} ({shown(event.code, 40)}; flash {shown(event.flash_state, 30)})"
            return f"{event.device}: attempt {event.attempt} broke: {why}; again in {event.wait_s:g} s"
        case flash.FlashReported():
            return _joined(f"{shown(event.device, 60)} {shown(event.status, 20)}", event.stage, event.error)
    assert_never(event)


def _rate(max_bytes_per_s: int | None) -> str:
    return "no limit" if max_bytes_per_s is None else f"at most {size(max_bytes_per_s)}/s"


def _device(event: device.DeviceEvent) -> str:
    match event:
        case device.DeviceAttached():
            kind = event.profile or "unknown board"
            return _joined(f"{'virtual ' * event.virtual}{kind}", event.driver, event.port or event.probe)
        case device.DeviceDetached():
            return shown(event.reason or "")
        case device.DeviceLeased():
            return f"by {shown(event.holder, 60)} until {event.expires_at:%H:%M:%S} UTC"
        case device.DeviceReleased():
            return shown(event.reason or "")
        case device.DeviceIdentified():
            return _joined(event.chip or "no answer", event.profile, event.problem)
        case device.DeviceHandled():
            return _joined(event.do.replace("_", " "), f"by {event.by}" if event.by else None)
    assert_never(event)


def _lease(event: lease.LeaseEvent) -> str:
    match event:
        case lease.LeaseRequested():
            labels = " ".join(f"{name}={value}" for name, value in event.labels.items())
            return _joined(f"{shown(event.holder, 60)} wants", event.device or event.profile or "a board", labels)
        case lease.LeaseOffered():
            return f"{event.device} on {event.host}"
        case lease.LeaseWithdrawn():
            return shown(event.reason)
    assert_never(event)


def _serial(event: serial.SerialEvent) -> str:
    match event:
        case serial.SerialWritten():
            sent = shown(event.data.decode("utf-8", "backslashreplace"), 60)
            return _joined(sent, f"by {event.by}" if event.by else None)
        case serial.CaptureRequested():
            return f"{event.device} for {event.for_s:g} s, up to {size(event.max_bytes)}"
        case serial.CaptureStopRequested():
            return ""
        case serial.CaptureFinished():
            lost = f", {size(event.lost_bytes)} lost" if event.lost_bytes else ""
            return f"{event.device}, {size(event.artifact.size_bytes)}{lost}: {shown(event.reason)}"
        case serial.CaptureFailed():
            return f"{event.device}: {shown(event.reason)}"
    assert_never(event)


def _live(event: live.LiveEvent) -> str:
    match event:
        case live.FlashProgress(total_bytes=0):
            return f"{event.device} {shown(event.stage, 20)}"
        case live.FlashProgress():
            done = f"{size(event.done_bytes)} of {size(event.total_bytes)}"
            speed = f", {size(event.speed_bytes_per_s)}/s" if event.speed_bytes_per_s else ""
            return f"{event.device} {shown(event.stage, 20)} {done}{speed}"
        case live.SerialLine():
            return shown(event.line, 200)
        case live.SessionDelta():
            return shown(event.text)
        case live.TaskLog():
            return _joined(event.node_id, event.level if event.level != "INFO" else "", event.line)
    assert_never(event)


def _document(event: document.DocumentEvent) -> str:
    match event:
        case document.DocumentCreated():
            return _joined(event.filename, event.content_type, size(event.size_bytes), " ".join(event.tags))
        case document.DocumentUpdated():
            return _joined(
                None if event.tags is None else f"tags {' '.join(event.tags)}",
                None if event.metadata is None else f"metadata {' '.join(event.metadata)}",
                _kept_until(event.expires_at),
            )
        case document.DocumentLinked():
            return f"{shown(event.kind, 20)} {shown(event.to, 160)}"
        case document.DocumentUnlinked():
            return f"no longer {shown(event.kind, 20)} {shown(event.to, 160)}"
        case document.DocumentDeleted():
            return shown(event.reason or "", 40)
    assert_never(event)


def _kept_until(expires_at: datetime | msgspec.UnsetType | None) -> str | None:
    if expires_at is msgspec.UNSET:
        return None
    return f"kept until {expires_at}" if expires_at else "kept for ever"


def _blueprint(event: blueprint.BlueprintEvent) -> str:
    match event:
        case blueprint.BlueprintCreated():
            return _joined(event.description, event.status)
        case blueprint.BlueprintUpdated():
            return f"changed: {shown(', '.join(event.changes))}"
        case blueprint.BlueprintDeleted():
            return ""
    assert_never(event)


def _host(event: host.HostEvent) -> str:
    match event:
        case host.HostStarted():
            return f"version {shown(event.version, 30)}, flashes with {shown(', '.join(event.drivers) or 'nothing')}"
        case host.HostStopped():
            return shown(event.reason or "")
    assert_never(event)


def _text_of(content: list[dict[str, Any]]) -> str:
    """The words of a message; of blocks without words, what they are."""
    return " ".join(str(block.get("text") or f"[{block.get('type', 'block')}]") for block in content)


def _arguments(values: dict[str, Any]) -> str:
    return shown(" ".join(f"{name}={value}" for name, value in values.items()))


def _took(duration_s: float | None) -> str:
    return "" if duration_s is None else f" in {duration_s:.1f} s"


def _again(attempt: int) -> str:
    return f", attempt {attempt}" if attempt > 1 else ""


def _joined(*parts: str | None) -> str:
    return ", ".join(shown(part) for part in parts if part)
