"""The log: append a fact, read what happened, decide something exclusively, send a sample."""

from benchwire.events.log.errors import (
    SILENT,
    Behind,
    Contended,
    EventTooLarge,
    HistoryGone,
    IdTaken,
    LogUnavailable,
    NotAllowed,
)
from benchwire.events.log.log import Log
from benchwire.events.log.records import Append, Decided, Expected, Recorded, recorded

__all__ = [
    "SILENT",
    "Append",
    "Behind",
    "Contended",
    "Decided",
    "EventTooLarge",
    "Expected",
    "HistoryGone",
    "IdTaken",
    "Log",
    "LogUnavailable",
    "NotAllowed",
    "Recorded",
    "recorded",
]
