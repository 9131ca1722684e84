"""Rows that follow from the log: documents, their tags, what still needs which bytes, and what the lab did with them."""

from sqlite_utils import Database

from benchwire.documents.projection import documents, lab
from benchwire.events import catalog
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.events.task import NodeImageStored

FOLLOWED: tuple[type[Event], ...] = (*documents.EVENTS, *lab.EVENTS)
# Those that may make bytes needed that nobody needed before.
CLAIMING: tuple[type[Event], ...] = (DocumentCreated, NodeImageStored, FlashRequested)

TABLES = documents.TABLES + lab.TABLES


def apply(db: Database, one: Recorded) -> None:
    """One event to rows."""
    if isinstance(one.event, documents.EVENTS):
        documents.apply(db, one)
    else:
        lab.apply(db, one)


SCHEMA = Schema(filters=catalog.filters_of(FOLLOWED), tables=TABLES, apply=apply, version=2)
