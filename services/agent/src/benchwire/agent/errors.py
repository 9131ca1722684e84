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


class NotDeployed(Exception):
    """The image did not come to life on a board; the sentence says where it ended, and what was seen instead."""
