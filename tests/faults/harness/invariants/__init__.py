"""What has to be true of a lab, whatever was done to it: looked at from outside, through its log, its HTTP and the files of its rows.

Each invariant is one function that answers with a ``Finding``: what it counted, and every single thing that is wrong. They are asked once the
load has drained and everything that was broken is whole again.
"""

from .acknowledged import Acked, acknowledged_once
from .artifacts import bytes_needed_and_no_more
from .boards import boards_as_their_jobs_say
from .documents import Kept, documents_whole
from .ends import ENDS_OF_JOB, ENDS_OF_SESSION, ENDS_OF_TASK, ended_once_or_owned, shown_as_ended
from .finding import Finding, check, story
from .listeners import Heard, due_on_documents, due_on_observability, events_shown, missed_nothing
from .processes import nothing_runs_below
from .rows import Rows, rows_equal_a_rebuild, rows_in

__all__ = [
    "ENDS_OF_JOB",
    "ENDS_OF_SESSION",
    "ENDS_OF_TASK",
    "Acked",
    "Finding",
    "Heard",
    "Kept",
    "Rows",
    "acknowledged_once",
    "boards_as_their_jobs_say",
    "bytes_needed_and_no_more",
    "check",
    "documents_whole",
    "due_on_documents",
    "due_on_observability",
    "ended_once_or_owned",
    "events_shown",
    "missed_nothing",
    "nothing_runs_below",
    "rows_equal_a_rebuild",
    "rows_in",
    "shown_as_ended",
    "story",
]
