"""What can be wrong with a call, and the HTTP status of each."""

from benchwire.events.blobs import BlobMissing
from benchwire.events.event import IllegalToken
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.patterns import BadPattern
from benchwire.events.projection import ProjectionBehind
from benchwire.web.forms import BadForm, FormTooLarge, NoRoom


class SessionUnknown(LookupError):
    """No session has this id, or it was deleted."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"there is no session {session_id!r}")


class SessionExists(Exception):
    """The id is taken."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"a session {session_id!r} exists already; choose another id")


class SessionNotRunning(Exception):
    """What was asked is possible only while the session runs."""

    def __init__(self, session_id: str, status: str) -> None:
        super().__init__(f"session {session_id!r} is not running, it is {status}")


class SessionBusy(Exception):
    """An agent works on the session."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"an agent works on session {session_id!r}; stop it first")


class NobodyListens(Exception):
    """The session runs, and no agent runner of the lab has it."""

    def __init__(self, session_id: str) -> None:
        super().__init__(
            f"session {session_id!r} is run outside of this lab, where nobody can be told anything; "
            "once it has ended, a message goes on with it here"
        )


class ApprovalUnknown(LookupError):
    """Nobody is asked about such a call."""

    def __init__(self, session_id: str, tool_use_id: str) -> None:
        super().__init__(
            f"session {session_id!r} asks nobody about a call {tool_use_id[:128]!r}; GET its approvals for those that wait"
        )


class ApprovalOver(Exception):
    """The call is decided already, or nobody waits for a decision any more."""

    def __init__(self, tool_use_id: str, state: str, by: str | None) -> None:
        who = f" by {by}" if by else ""
        super().__init__(f"call {tool_use_id!r} no longer waits: it is {state}{who}")


class SessionStillRunning(ValueError):
    """What was asked is possible only once the session has ended."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} is still running; its result is there when it has ended")


class NoResult(LookupError):
    """The session ended without a word from the assistant."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} ended without an answer of the assistant")


class BadCursor(ValueError):
    """A cursor that no page gave."""

    def __init__(self) -> None:
        super().__init__("cursor: it is not one that was given; leave it out to begin with the first page")


class BlueprintUnknown(LookupError):
    """No agent has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no agent {name[:64]!r}")


class BlueprintExists(Exception):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"an agent {name!r} exists already; choose another name, or change that one")


class TaskUnknown(LookupError):
    """No task has this id."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id!r}")


class TaskNotRunning(Exception):
    """What was asked is possible only while the task runs."""

    def __init__(self, task_id: str, status: str) -> None:
        super().__init__(f"task {task_id!r} is not running, it is {status}")


class TaskStillRunning(Exception):
    """What was asked is possible only once the task has ended."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task {task_id!r} is still running; its images can be flashed when it has ended")


class BoardAssigned(Exception):
    """Another node of the same task is for that board."""

    def __init__(self, task_id: str, node_id: str, board: str) -> None:
        super().__init__(
            f"{board} is for node {node_id!r} of {task_id} already; take it back first (DELETE the same path), or choose another board"
        )


class DeviceNotAssigned(LookupError):
    """No node of the task is for that board."""

    def __init__(self, task_id: str, device: str) -> None:
        super().__init__(f"no node of {task_id} is for a board {device[:128]!r}")


class NobodyDesigns(Exception):
    """No agent runner can design a system now; the sentence says why."""


class DeviceUnknown(LookupError):
    """No attached device is meant by this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no device {name!r}; GET /api/devices lists what is attached")


class DeviceAmbiguous(ValueError):
    """Several hosts have a device of this name."""

    def __init__(self, name: str, there: list[str]) -> None:
        super().__init__(f"several hosts have a device {name!r}: say one of {', '.join(there)}")


class DeviceTaken(Exception):
    """Somebody else has the board for themselves."""

    def __init__(self, host: str, device: str, holder: str, expires_at: str) -> None:
        super().__init__(
            f"{device} on {host} is leased by {holder} until {expires_at}: wait for it, or say the lease_id if that is yours"
        )


class NoBoardFree(Exception):
    """There are such boards, or none, and none of them can be had now; the sentence says why."""


class HostRefused(Exception):
    """The board's host was asked, and says no in its own words."""


class HostSilent(Exception):
    """The flash agent of the board's host does not answer."""

    def __init__(self, host: str, *, within_s: float | None) -> None:
        what = "is not there" if within_s is None else f"gave no answer within {within_s:g} s"
        super().__init__(f"the flash agent of host {host} {what}; see whether that host and its flash agent run")


class LeaseUnknown(LookupError):
    """No lease has this id."""

    def __init__(self, lease_id: str) -> None:
        super().__init__(f"there is no lease {lease_id!r}")


class LeaseOver(Exception):
    """The lease has ended, or never began."""

    def __init__(self, lease_id: str) -> None:
        super().__init__(f"lease {lease_id!r} is not held now; ask for a new one")


class LeaseNotHad(Exception):
    """No board came free in time; the sentence says what keeps it."""


class JobUnknown(LookupError):
    """No flash job has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no flash job {job_id!r}")


class JobOver(Exception):
    """The job has ended, so that it can't be steered any more."""

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(f"flash job {job_id!r} is over, it is {status}")


class NotOurs(Exception):
    """An outside flasher works on the job, and nobody here can steer it."""

    def __init__(self, job_id: str, host: str) -> None:
        super().__init__(
            f"flash job {job_id!r} is reported by {host}, a flasher outside of this lab; only there it can be steered"
        )


class FirmwareUnknown(LookupError):
    """The firmware that was named is not in the lab."""


class Unusable(ValueError):
    """A request that is well formed and still cannot be done; the sentence says why."""


class CaptureUnknown(LookupError):
    """No capture has this id."""

    def __init__(self, capture_id: str) -> None:
        super().__init__(f"there is no capture {capture_id!r}")


class CaptureOver(Exception):
    """The capture has ended already."""

    def __init__(self, capture_id: str, state: str) -> None:
        super().__init__(f"capture {capture_id!r} is over, it is {state}")


STATUS: dict[type[Exception], int] = {
    SessionUnknown: 404,
    SessionExists: 409,
    SessionNotRunning: 409,
    SessionBusy: 409,
    NobodyListens: 409,
    ApprovalUnknown: 404,
    ApprovalOver: 409,
    SessionStillRunning: 400,
    NoResult: 404,
    BadCursor: 400,
    BlueprintUnknown: 404,
    BlueprintExists: 409,
    TaskUnknown: 404,
    TaskNotRunning: 409,
    TaskStillRunning: 409,
    BoardAssigned: 409,
    DeviceNotAssigned: 404,
    NobodyDesigns: 503,
    DeviceUnknown: 404,
    DeviceAmbiguous: 400,
    DeviceTaken: 409,
    NoBoardFree: 409,
    HostRefused: 409,
    HostSilent: 503,
    LeaseUnknown: 404,
    LeaseOver: 409,
    LeaseNotHad: 409,
    BadForm: 400,
    FormTooLarge: 413,
    NoRoom: 507,
    JobUnknown: 404,
    JobOver: 409,
    NotOurs: 409,
    FirmwareUnknown: 404,
    CaptureUnknown: 404,
    CaptureOver: 409,
    BadPattern: 400,
    BlobMissing: 404,
    Unusable: 400,
}

# What can be told where there is no status to say it with: on a socket, or of one of many.
SAYABLE: tuple[type[Exception], ...] = (*STATUS, IllegalToken, EventTooLarge, LogUnavailable, ProjectionBehind)
