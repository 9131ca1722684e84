"""Rows that follow from the log: documents, their tags, what still needs which bytes, and what the lab did with them."""

from sqlite_utils import Database

from benchwire.documents.projection import captures, documents, lab
from benchwire.events import catalog
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.events.serial import CaptureFinished
from benchwire.events.task import NodeImageStored

_ROOMS = (documents, lab, captures)
FOLLOWED: tuple[type[Event], ...] = tuple(dict.fromkeys(event for room in _ROOMS for event in room.EVENTS))
# Those that may make bytes needed that nobody needed before.
CLAIMING: tuple[type[Event], ...] = (DocumentCreated, NodeImageStored, FlashRequested, CaptureFinished)

TABLES = "".join(room.TABLES for room in _ROOMS)


def apply(db: Database, one: Recorded) -> None:
    """One event to rows."""
    for room in _ROOMS:
        if isinstance(one.event, room.EVENTS):
            room.apply(db, one)


SCHEMA = Schema(name="documents", filters=catalog.filters_of(FOLLOWED), tables=TABLES, apply=apply, version=3)
