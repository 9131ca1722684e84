"""What can stop a runner in its work, beyond what the log and the model endpoint say themselves."""


class HeldByAnother(Exception):
    """Another runner has the work; whether that runner is still there decides what comes next."""

    def __init__(self, runner: str) -> None:
        super().__init__(f"{runner} has it")
        self.runner = runner


class ClaimLost(Exception):
    """Somebody else took the work over in between: nothing this runner does about it may have an effect any more."""


class ModelFailed(Exception):
    """The model gave no answer; the sentence says why, and what a person can do about it."""


class BrokeOff(ModelFailed):
    """The model's answer ended before its end, or could not begin as it was asked for: nothing came of it, and it may be asked for again."""


class NotDeployed(Exception):
    """The image did not come to life on a board; the sentence says where it ended, and what was seen instead."""


class ToolFailed(Exception):
    """A tool could not do what the model asked of it; the sentence, which the model reads, says why and what to do instead."""


class GivenUp(Exception):
    """A session cannot go on; the sentence says why, and ``code`` says it to programs, as in ``session_failed``."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.code = code
