"""Tasks as clients know them: a node, or a module of code, is their module."""

import msgspec

from benchwire.observability.wire.tasks.frames import error_frame, frames
from benchwire.observability.wire.tasks.lines import log_lines
from benchwire.observability.wire.tasks.views import end_in_words, pass_rate, results, summary

__all__ = ["TaskStarted", "end_in_words", "error_frame", "frames", "log_lines", "pass_rate", "results", "summary"]


class TaskStarted(msgspec.Struct, frozen=True):
    """Answer of ``POST /tasks``."""

    task_id: str
    status: str
    websocket_url: str
