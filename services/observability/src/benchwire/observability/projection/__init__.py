"""Rows of everything that happens in the lab: one room per aggregate, each with its tables and its ``apply``."""

from sqlite_utils import Database

from benchwire.events.catalog import FACTS
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.observability.projection import (
    approvals,
    blueprints,
    captures,
    devices,
    documents,
    flash,
    leases,
    sessions,
    tasks,
    usage,
)

# Approvals come behind sessions, whose rows say how many of them wait.
_ROOMS = (sessions, approvals, tasks, flash, devices, leases, captures, documents, blueprints, usage)


def apply(db: Database, one: Recorded) -> None:
    """Turns one event into rows. Only this writes them."""
    for room in _ROOMS:
        if isinstance(one.event, room.EVENTS):
            room.apply(db.conn, one)


SCHEMA = Schema(filters=[FACTS], tables="".join(room.TABLES for room in _ROOMS), apply=apply, version=6)
