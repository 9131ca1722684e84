"""The one table: which event travels on which subject, who writes it, and in which version.

Everything that names a subject derives from it: the decoder, the filters, the permissions and the event reference. A ``{field}`` in a
subject is a field of the event.
"""

import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec

from benchwire.events import blueprint, device, document, flash, host, lease, live, serial, session, task
from benchwire.events.event import Event, token

FACTS = "bench.>"
SAMPLES = "live.>"

OBSERVABILITY = "observability"
DOCUMENTS = "documents"
AGENT = "agent"
FLASH_AGENT = "flash-agent"


class Entry(msgspec.Struct, frozen=True):
    """One row: the ``event`` type, the ``subject`` it travels on, the services that write it, and its version."""

    event: type[Event]
    subject: str
    writers: tuple[str, ...]
    version: int = 1

    @property
    def tag(self) -> str:
        """The word that stands for the type on the wire."""
        return str(self.event.__struct_config__.tag)

    @property
    def filter(self) -> str:
        """The subject with a wildcard for each field."""
        return _FIELD.sub("*", self.subject)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields in the subject."""
        return tuple(_FIELD.findall(self.subject))


_FIELD = re.compile(r"\{(\w+)\}")
_DOOR = (OBSERVABILITY,)
_RUNNER = (AGENT,)
_DOOR_AND_RUNNER = (OBSERVABILITY, AGENT)
_BOARDS = (FLASH_AGENT,)
_EVERYBODY_WITH_BOARDS = (OBSERVABILITY, AGENT, FLASH_AGENT)

CATALOG: tuple[Entry, ...] = (
    Entry(session.SessionRequested, "bench.session.{session_id}.requested", _DOOR_AND_RUNNER),
    Entry(session.SessionClaimed, "bench.session.{session_id}.claimed", _RUNNER),
    Entry(session.SessionStarted, "bench.session.{session_id}.started", _DOOR_AND_RUNNER),
    Entry(session.MessageRequested, "bench.session.{session_id}.message_requested", _DOOR),
    Entry(session.MessageSent, "bench.session.{session_id}.message", _DOOR_AND_RUNNER),
    Entry(session.ToolApprovalRequested, "bench.session.{session_id}.tool_approval_requested", _RUNNER),
    Entry(session.ToolDecided, "bench.session.{session_id}.tool_decided", _DOOR_AND_RUNNER),
    Entry(session.ToolCalled, "bench.session.{session_id}.tool_called", _DOOR_AND_RUNNER),
    Entry(session.ToolReturned, "bench.session.{session_id}.tool_returned", _DOOR_AND_RUNNER),
    Entry(session.ModelUsed, "bench.session.{session_id}.model_used", _DOOR_AND_RUNNER),
    Entry(session.SessionEnded, "bench.session.{session_id}.ended", _DOOR_AND_RUNNER),
    Entry(session.SessionFailed, "bench.session.{session_id}.failed", _DOOR_AND_RUNNER),
    Entry(session.SessionStopRequested, "bench.session.{session_id}.stop_requested", _DOOR_AND_RUNNER),
    Entry(session.SessionStopped, "bench.session.{session_id}.stopped", _DOOR_AND_RUNNER),
    Entry(session.SessionDescribed, "bench.session.{session_id}.described", _DOOR),
    Entry(session.SessionDeleted, "bench.session.{session_id}.deleted", _DOOR),
    Entry(task.TaskRequested, "bench.task.{task_id}.requested", _DOOR),
    Entry(task.TaskClaimed, "bench.task.{task_id}.claimed", _RUNNER),
    Entry(task.TaskPlanned, "bench.task.{task_id}.planned", _RUNNER),
    Entry(task.NodeStarted, "bench.task.{task_id}.node_started", _RUNNER),
    Entry(task.NodeGenerated, "bench.task.{task_id}.node_generated", _RUNNER),
    Entry(task.NodeCompiled, "bench.task.{task_id}.node_compiled", _RUNNER),
    Entry(task.NodeSimulated, "bench.task.{task_id}.node_simulated", _RUNNER),
    Entry(task.NodeTested, "bench.task.{task_id}.node_tested", _RUNNER),
    Entry(task.NodeRetried, "bench.task.{task_id}.node_retried", _RUNNER),
    Entry(task.NodeImageStored, "bench.task.{task_id}.node_image_stored", _RUNNER),
    Entry(task.NodeAssigned, "bench.task.{task_id}.node_assigned", _DOOR),
    Entry(task.NodeDeploying, "bench.task.{task_id}.node_deploying", _RUNNER),
    Entry(task.NodeDeployed, "bench.task.{task_id}.node_deployed", _RUNNER),
    Entry(task.NodeSucceeded, "bench.task.{task_id}.node_succeeded", _RUNNER),
    Entry(task.NodeFailed, "bench.task.{task_id}.node_failed", _RUNNER),
    Entry(task.TaskGuided, "bench.task.{task_id}.guided", _DOOR),
    Entry(task.TaskFinished, "bench.task.{task_id}.finished", _RUNNER),
    Entry(task.TaskFailed, "bench.task.{task_id}.failed", _DOOR_AND_RUNNER),
    Entry(task.TaskCancelRequested, "bench.task.{task_id}.cancel_requested", _DOOR),
    Entry(task.TaskCancelled, "bench.task.{task_id}.cancelled", _DOOR_AND_RUNNER),
    Entry(blueprint.BlueprintCreated, "bench.blueprint.{name}.created", _DOOR),
    Entry(blueprint.BlueprintUpdated, "bench.blueprint.{name}.updated", _DOOR),
    Entry(blueprint.BlueprintDeleted, "bench.blueprint.{name}.deleted", _DOOR),
    Entry(document.DocumentCreated, "bench.document.{document_id}.created", (DOCUMENTS,)),
    Entry(document.DocumentUpdated, "bench.document.{document_id}.updated", (DOCUMENTS,)),
    Entry(document.DocumentLinked, "bench.document.{document_id}.linked", (DOCUMENTS,)),
    Entry(document.DocumentUnlinked, "bench.document.{document_id}.unlinked", (DOCUMENTS,)),
    Entry(document.DocumentDeleted, "bench.document.{document_id}.deleted", (DOCUMENTS,)),
    Entry(host.HostStarted, "bench.host.{host}.started", _BOARDS),
    Entry(host.HostStopped, "bench.host.{host}.stopped", _BOARDS),
    Entry(device.DeviceAttached, "bench.device.{host}.{device}.attached", _BOARDS),
    Entry(device.DeviceDetached, "bench.device.{host}.{device}.detached", _BOARDS),
    Entry(device.DeviceIdentified, "bench.device.{host}.{device}.identified", _BOARDS),
    Entry(device.DeviceHandled, "bench.device.{host}.{device}.handled", _BOARDS),
    Entry(device.DeviceLeased, "bench.device.{host}.{device}.leased", _EVERYBODY_WITH_BOARDS),
    Entry(device.DeviceReleased, "bench.device.{host}.{device}.released", _EVERYBODY_WITH_BOARDS),
    Entry(lease.LeaseRequested, "bench.lease.{lease_id}.requested", _DOOR_AND_RUNNER),
    Entry(lease.LeaseOffered, "bench.lease.{lease_id}.offered", _BOARDS),
    Entry(lease.LeaseWithdrawn, "bench.lease.{lease_id}.withdrawn", _EVERYBODY_WITH_BOARDS),
    Entry(serial.SerialWritten, "bench.serial.{host}.{device}.written", _BOARDS),
    Entry(serial.CaptureRequested, "bench.capture.{host}.{capture_id}.requested", _DOOR_AND_RUNNER),
    Entry(serial.CaptureStopRequested, "bench.capture.{host}.{capture_id}.stop_requested", _DOOR_AND_RUNNER),
    Entry(serial.CaptureFinished, "bench.capture.{host}.{capture_id}.finished", _BOARDS),
    Entry(serial.CaptureFailed, "bench.capture.{host}.{capture_id}.failed", _BOARDS),
    Entry(flash.FlashRequested, "bench.flash.{host}.{job_id}.requested", _DOOR_AND_RUNNER),
    Entry(flash.FlashStarted, "bench.flash.{host}.{job_id}.started", _BOARDS),
    Entry(flash.FlashPauseRequested, "bench.flash.{host}.{job_id}.pause_requested", _DOOR_AND_RUNNER),
    Entry(flash.FlashPauseDeferred, "bench.flash.{host}.{job_id}.pause_deferred", _BOARDS),
    Entry(flash.FlashPaused, "bench.flash.{host}.{job_id}.paused", _BOARDS),
    Entry(flash.FlashResumeRequested, "bench.flash.{host}.{job_id}.resume_requested", _DOOR_AND_RUNNER),
    Entry(flash.FlashResumed, "bench.flash.{host}.{job_id}.resumed", _BOARDS),
    Entry(flash.FlashThrottleRequested, "bench.flash.{host}.{job_id}.throttle_requested", _DOOR_AND_RUNNER),
    Entry(flash.FlashThrottled, "bench.flash.{host}.{job_id}.throttled", _BOARDS),
    Entry(flash.FlashRetried, "bench.flash.{host}.{job_id}.retried", _BOARDS),
    Entry(flash.FlashCompleted, "bench.flash.{host}.{job_id}.completed", _BOARDS),
    Entry(flash.FlashFailed, "bench.flash.{host}.{job_id}.failed", _BOARDS),
    Entry(flash.FlashCancelRequested, "bench.flash.{host}.{job_id}.cancel_requested", _DOOR_AND_RUNNER),
    Entry(flash.FlashCancelled, "bench.flash.{host}.{job_id}.cancelled", _BOARDS),
    Entry(flash.FlashReported, "bench.flash.{host}.{job_id}.reported", _DOOR),
    Entry(live.FlashProgress, "live.flash.{host}.{job_id}.progress", (FLASH_AGENT, OBSERVABILITY)),
    Entry(live.SerialLine, "live.serial.{host}.{device}.line", _BOARDS),
    Entry(live.SessionDelta, "live.session.{session_id}.delta", _RUNNER),
    Entry(live.TaskLog, "live.task.{task_id}.log", _RUNNER),
)


class Queue(msgspec.Struct, frozen=True):
    """A queue of requests: its durable consumer's ``name``, the requests that it holds, and the service that works on them."""

    name: str
    request: type[Event]
    worker: str


QUEUES: tuple[Queue, ...] = (
    Queue("agents-sessions", session.SessionRequested, AGENT),
    Queue("agents-tasks", task.TaskRequested, AGENT),
    Queue("documents-captures", serial.CaptureFinished, DOCUMENTS),
    Queue("flash-{host}", flash.FlashRequested, FLASH_AGENT),
    Queue("capture-{host}", serial.CaptureRequested, FLASH_AGENT),
)

BY_TYPE: dict[type[Event], Entry] = {entry.event: entry for entry in CATALOG}
BY_TAG: dict[str, Entry] = {entry.tag: entry for entry in CATALOG}

_PLACES: dict[type[Event], list[tuple[str, str]]] = {
    entry.event: [("", word[1:-1]) if word.startswith("{") else (word, "") for word in entry.subject.split(".")]
    for entry in CATALOG
}

_FORMS: dict[type[Event], tuple[str, Callable[[Event], Any], int]] = {
    entry.event: (_FIELD.sub("%s", entry.subject), attrgetter(*entry.fields), entry.subject.count("."))
    for entry in CATALOG
}

AnyEvent = session.SessionEvent | task.TaskEvent | blueprint.BlueprintEvent | document.DocumentEvent | host.HostEvent
AnyEvent |= device.DeviceEvent | lease.LeaseEvent | serial.SerialEvent | flash.FlashEvent | live.LiveEvent


def subject_of(event: Event) -> str:
    """The subject ``event`` travels on. Raises ``IllegalToken`` when a field cannot stand in a subject."""
    return ".".join([word or token(getattr(event, field), field) for word, field in _PLACES[type(event)]])


def travels_on(event: Event, subject: str) -> bool:
    """Whether ``subject`` is the one that ``event`` travels on; quicker than making it."""
    form, fields, dots = _FORMS[type(event)]
    # A dot in a field would make another subject of it.
    return bool(form % fields(event) == subject) and subject.count(".") == dots


def ids_of(event: Event) -> dict[str, str]:
    """The fields of ``event`` that stand in its subject: what it is about."""
    return {name: getattr(event, name) for name in BY_TYPE[type(event)].fields}


def fill(template: str, values: dict[str, Any]) -> str:
    """``template`` with its fields filled; a field without a value becomes a wildcard. Raises ``IllegalToken``."""

    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        return token(str(values[name]), name) if name in values else "*"

    return _FIELD.sub(value_of, template)


def filter_of(event: type[Event], **values: str) -> str:
    """The filter for one type; fields that are given narrow it: ``filter_of(FlashRequested, host="lab-1")``."""
    return fill(BY_TYPE[event].subject, values)


def queue_of(request: type[Event], **values: str) -> str:
    """The name of the durable consumer that hands out such requests: ``queue_of(FlashRequested, host="lab-1")``."""
    return next(one.name for one in QUEUES if one.request is request).format_map(values)


def filters_of(events: Iterable[type[Event]], **values: str) -> list[str]:
    """The filters for several types; a value goes to the types that have such a field."""
    return [fill(BY_TYPE[event].subject, values) for event in events]


def aggregate_of(event: type[Event], **values: str) -> str:
    """The filter over everything that happened to one aggregate: ``bench.flash.lab-1.job_7.*``."""
    return fill(BY_TYPE[event].subject.rsplit(".", 1)[0], values) + ".*"
