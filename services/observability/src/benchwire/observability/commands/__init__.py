"""What happens when somebody asks for something: what is, what is asked and what time it is, to the event that follows.

Nothing here waits or looks anything up. A broken rule raises; None says that there is nothing left to do.
"""

from benchwire.observability.commands.blueprints import can_start, change_blueprint, create_blueprint, delete_blueprint
from benchwire.observability.commands.captures import request_capture, stop_capture
from benchwire.observability.commands.flash import (
    STEERING,
    Candidate,
    Image,
    Node,
    choose_board,
    request_flash,
    throttle,
)
from benchwire.observability.commands.leases import (
    GIVEN_BACK,
    ITS_END,
    NOT_IN_TIME,
    UNWANTED,
    board_named,
    cancel_jobs,
    checked_labels,
    patience,
    release,
    renew,
    request_lease,
    why_not,
    withdraw,
)
from benchwire.observability.commands.messages import decide_call, say
from benchwire.observability.commands.planning import CODE, FIRMWARE, simulated_board, start_task
from benchwire.observability.commands.reports import report, sample, silent
from benchwire.observability.commands.sessions import (
    ASKED,
    close_session,
    create_session,
    delete_session,
    describe_session,
    stop_session,
    turns,
)
from benchwire.observability.commands.tasks import assign_node, cancel_task, close_task, guide_task, unassign_board

__all__ = [
    "ASKED",
    "CODE",
    "FIRMWARE",
    "GIVEN_BACK",
    "ITS_END",
    "NOT_IN_TIME",
    "STEERING",
    "UNWANTED",
    "Candidate",
    "Image",
    "Node",
    "assign_node",
    "board_named",
    "can_start",
    "cancel_jobs",
    "cancel_task",
    "change_blueprint",
    "checked_labels",
    "choose_board",
    "close_session",
    "close_task",
    "create_blueprint",
    "create_session",
    "decide_call",
    "delete_blueprint",
    "delete_session",
    "describe_session",
    "guide_task",
    "patience",
    "release",
    "renew",
    "report",
    "request_capture",
    "request_flash",
    "request_lease",
    "sample",
    "say",
    "silent",
    "simulated_board",
    "start_task",
    "stop_capture",
    "stop_session",
    "throttle",
    "turns",
    "unassign_board",
    "why_not",
    "withdraw",
]
