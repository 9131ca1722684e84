"""Frames of tasks, and what a client may say to one."""

from datetime import datetime
from typing import Any

import msgspec

from benchwire.web.faces import Pong


class TaskFrame(msgspec.Struct, kw_only=True):
    """A step of the task. ``type`` is one of TASK_STARTED, PLANNING_COMPLETE, GUIDANCE_ACCEPTED, MODULE_STARTED, MODULE_GENERATED,
    MODULE_COMPILED, MODULE_ITERATION, TEST_PASSED, MODULE_RETRIED, MODULE_IMAGE_STORED, MODULE_DEPLOYING, MODULE_DEPLOYED, MODULE_COMPLETE,
    MODULE_FAILED, TASK_COMPLETE, TASK_FAILED and TASK_CANCELLED; ``data`` is its own.
    """

    type: str
    task_id: str
    timestamp: datetime
    seq: int
    data: dict[str, Any]


class Problem(msgspec.Struct, kw_only=True):
    """Why nothing can be done."""

    error: str


class TaskErrorFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="ERROR"):
    """What cannot be done with this task."""

    task_id: str
    data: Problem


class Intervention(msgspec.Struct, kw_only=True, tag_field="type", tag="INTERVENTION"):
    """Guidance for the next generation; without ``node_id`` for every node."""

    guidance: str
    node_id: str | None = None


OF_A_TASK = (TaskFrame, TaskErrorFrame, Pong)
