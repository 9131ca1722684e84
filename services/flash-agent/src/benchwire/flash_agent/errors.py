"""What can go wrong with a flash job. Each error has a ``code`` for programs; its text is a sentence for a person."""


class FlashError(Exception):
    """A job cannot be done, or not to its end."""

    code = "failed"


class DeviceNotAttached(FlashError):
    """The board is not plugged in on this host."""

    code = "device_not_attached"

    def __init__(self, device: str, host: str) -> None:
        super().__init__(f"{device} is not attached to {host}; plug it in, or ask for another board")


class DeviceGone(FlashError):
    """The board vanished while the job had it."""

    code = "device_gone"

    def __init__(self, device: str) -> None:
        super().__init__(f"{device} vanished while it was being flashed; plug it in and flash it again")


class NoDriver(FlashError):
    """Nobody knows how to flash this board."""

    code = "no_driver"


class WrongBoard(FlashError):
    """The image was made for another kind of board than this one."""

    code = "wrong_board"


class ImageMissing(FlashError):
    """The bytes of the image cannot be had."""

    code = "image_missing"


class ImageRefused(FlashError):
    """The image would not run on this board. Nothing was written."""

    code = "image_refused"


class ResetFailed(FlashError):
    """The board could not be put into its loader, or not be started."""

    code = "reset_failed"


class ToolFailed(FlashError):
    """The flash tool gave up; ``code`` is the tool's."""

    def __init__(self, code: str, error: str) -> None:
        super().__init__(error)
        self.code = code


class ToolDied(FlashError):
    """The flash tool's process ended in the middle of its work."""

    code = "tool_died"

    def __init__(self, stage: str, ending: str, last_words: str) -> None:
        said = f"; its last words: {last_words}" if last_words else ""
        super().__init__(f"the flash tool ended while {stage} ({ending}){said}")


class ToolSilent(FlashError):
    """The flash tool reported nothing for longer than its stage may take, and was ended."""

    code = "tool_silent"

    def __init__(self, stage: str, limit_s: float) -> None:
        super().__init__(f"the flash tool reported nothing for {limit_s:g} s while {stage}, and was stopped")
