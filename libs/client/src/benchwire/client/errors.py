"""What a lab can answer other than what was asked for."""


class NoLab(Exception):
    """Nothing that answers as a lab is at this address, or it broke off."""


class Refused(Exception):
    """The lab says no; the sentence is its own. ``status_code`` is HTTP's."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(detail)
        self.status_code = status_code


class NoBoard(Exception):
    """No board that fits came free in time."""


class FlashFailed(AssertionError):
    """A job ended without a verified image. In a test of hardware that is what the test found."""


class NotHeard(AssertionError):
    """A board did not print what it should have, in time."""


class Damaged(Exception):
    """What arrived is not what was sent."""
