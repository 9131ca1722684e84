"""Projections: rows in SQLite that follow from the log, and from nothing else."""

from benchwire.events.applying import Apply, Schema
from benchwire.events.projection.projection import Projection
from benchwire.events.projection.state import ProjectionBehind, ProjectionDamaged, ProjectionInUse, ProjectionState
from benchwire.events.rows import rows_of

__all__ = [
    "Apply",
    "Projection",
    "ProjectionBehind",
    "ProjectionDamaged",
    "ProjectionInUse",
    "ProjectionState",
    "Schema",
    "rows_of",
]
