"""What can be wrong with a call, and the HTTP status of each."""

from benchwire.events.blobs import BlobMissing


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


class DeviceUnknown(LookupError):
    """No attached device is meant by this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no device {name!r}; GET /api/devices lists what is attached")


class DeviceAmbiguous(ValueError):
    """Several hosts have a device of this name."""

    def __init__(self, name: str, hosts: list[str]) -> None:
        super().__init__(
            f"several hosts have a device {name!r}: say one of {', '.join(f'{host}/{name}' for host in hosts)}"
        )


class JobUnknown(LookupError):
    """No flash job has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no flash job {job_id!r}")


class JobOver(Exception):
    """The job has ended, so that it can't be steered any more."""

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(f"flash job {job_id!r} is over, it is {status}")


class FirmwareUnknown(LookupError):
    """The firmware that was named is not in the lab."""


class Unusable(ValueError):
    """A request that is well formed and still cannot be done; the sentence says why."""


STATUS: dict[type[Exception], int] = {
    SessionUnknown: 404,
    SessionExists: 409,
    SessionNotRunning: 409,
    SessionBusy: 409,
    SessionStillRunning: 400,
    NoResult: 404,
    BadCursor: 400,
    BlueprintUnknown: 404,
    BlueprintExists: 409,
    TaskUnknown: 404,
    TaskNotRunning: 409,
    DeviceUnknown: 404,
    DeviceAmbiguous: 400,
    JobUnknown: 404,
    JobOver: 409,
    FirmwareUnknown: 404,
    BlobMissing: 404,
    Unusable: 400,
}
