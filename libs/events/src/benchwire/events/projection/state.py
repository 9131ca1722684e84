"""Where a projection stands, and why one may not go on."""

import msgspec


class ProjectionState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a projection stands. ``behind`` counts the events it knows to be waiting; ``trouble`` is why it cannot go on, if so.

    ``lacking`` says what is missing in the rows, for good, because the log had lost it before it was applied.
    """

    applied: int
    behind: int
    caught_up: bool
    unknown: int
    malformed: int
    trouble: str | None = None
    lacking: str | None = None


class ProjectionBehind(Exception):
    """The projection did not get there in time."""


class ProjectionInUse(Exception):
    """Another process writes this file."""


class ProjectionDamaged(Exception):
    """SQLite finds the file damaged. It is removed, and the next start builds it anew."""
