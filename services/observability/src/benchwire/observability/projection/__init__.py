"""Rows of everything that happens in the lab: one room per aggregate, each with its tables and its ``apply``."""

from collections.abc import Sequence
from itertools import groupby

from sqlite_utils import Database

from benchwire.events.catalog import FACTS, filter_of
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.events.session import SessionDeleted
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


_OF = {kind: [room for room in _ROOMS if kind in room.EVENTS] for room in _ROOMS for kind in room.EVENTS}
_ONLY_SAID = tuple(kind for kind in sessions.SAID if _OF[kind] == [sessions])


def apply(db: Database, one: Recorded) -> None:
    """Turns one event into rows. Only this and ``apply_all`` write them."""
    for room in _OF.get(type(one.event), ()):
        room.apply(db.conn, one)


def apply_all(db: Database, events: Sequence[Recorded]) -> None:
    """The same with many: what is said in sessions, which most events do, becomes rows together, as long as nothing else comes between."""
    for is_said, some in groupby(events, lambda one: isinstance(one.event, _ONLY_SAID)):
        if is_said:
            sessions.apply_said(db.conn, list(some))
        else:
            for one in some:
                apply(db, one)


SCHEMA = Schema(
    name="observability",
    filters=[FACTS],
    forgets=filter_of(SessionDeleted),
    tables="".join(room.TABLES for room in _ROOMS),
    apply=apply,
    apply_all=apply_all,
    version=6,
)
