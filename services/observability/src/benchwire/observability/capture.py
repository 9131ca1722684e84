"""Captures: everything that a board prints for a while, on its way to a document."""

from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.serial import CaptureFailed, CaptureFinished

RUNNING, FINISHED, FAILED = "running", "finished", "failed"


def told_of(event: Event) -> str | None:
    """The id of the capture that ``event`` brings on; a document has that of its capture, if it comes from one."""
    match event:
        case CaptureFinished() | CaptureFailed():
            return event.capture_id
        case DocumentCreated():
            return event.document_id
        case _:
            return None
