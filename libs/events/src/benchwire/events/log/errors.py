"""What may come of writing to the log, and of reading it, beside what is wanted."""

SILENT = "the log does not answer: NATS is away, or too slow"
BEHIND = "the server that answers for the log does not know yet what is surely in it"


class LogUnavailable(Exception):
    """JetStream did not acknowledge in time. The event may or may not be in the log; repeating it with its id is safe."""


class Behind(LogUnavailable):
    """Whoever answered does not have yet what is surely in the log.

    A server that led the log and was cut off from the others goes on to answer as if it led it still: for some ten seconds, and for a moment
    after they have met again.
    """


class NotAllowed(LogUnavailable):
    """NATS does not let this service's user write that; trying again is of no use before somebody changes that."""


class IdTaken(LogUnavailable):
    """Another message has the event's id, so that JetStream took the event for a repetition. It is not in the log."""


class HistoryGone(Exception):
    """The log no longer has what this would have to be made from; the sentence says what."""


class Contended(Exception):
    """Somebody else wrote to the aggregate in between."""


class EventTooLarge(ValueError):
    """The event is larger than the server takes; bytes belong into the artifact store."""
