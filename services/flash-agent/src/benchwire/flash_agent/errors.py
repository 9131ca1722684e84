"""What can go wrong on a host. Each error has a ``code`` for programs; its text is a sentence for a person."""

from datetime import datetime


class LabError(Exception):
    """Something cannot be done, or not to its end."""

    code = "failed"


class WrongHost(LabError):
    """Somebody else was meant."""

    code = "wrong_host"

    def __init__(self, host: str, meant: str) -> None:
        super().__init__(f"this is {host}, not {meant}")


class DeviceBusy(LabError):
    """A job, or somebody's hand, is at work on the board."""

    code = "device_busy"

    def __init__(self, device: str) -> None:
        super().__init__(f"{device} is in use at this moment; wait for its job, or cancel that")


class FlashError(LabError):
    """A job cannot be done, or not to its end."""


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


class LeasedToAnother(FlashError):
    """Somebody else has the board for themselves."""

    code = "device_leased"

    def __init__(self, device: str, holder: str, expires_at: datetime) -> None:
        super().__init__(
            f"{device} is leased to {holder} until {expires_at:%Y-%m-%d %H:%M:%S} UTC; wait until it is given back, or ask for a lease of "
            "your own and name it"
        )


class TimedOut(FlashError):
    """The job took longer than whoever asked for it would wait."""

    code = "timed_out"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"the job was not done within {timeout_s:g} s of its first start, and was stopped")


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


class NoPartition(FlashError):
    """The board has no partition of that name, or no partition table that could tell. Nothing was written."""

    code = "no_partition"


class ResetFailed(FlashError):
    """A hand on the board had no effect: it could not be reset, brought into its loader, or switched."""

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


class SerialError(LabError):
    """A board cannot be written to."""

    code = "serial_failed"


class PortBusy(SerialError):
    """A flash tool has the port."""

    code = "port_busy"

    def __init__(self, device: str) -> None:
        super().__init__(f"a flash tool has the serial port of {device}; wait until its work is over")


class PortClosed(SerialError):
    """The port is not open."""

    code = "port_closed"

    def __init__(self, device: str, why: str) -> None:
        super().__init__(f"{device} cannot be written to: {why}")


class NoPort(SerialError):
    """The board has no serial port, or none that is known."""

    code = "no_port"

    def __init__(self, device: str) -> None:
        super().__init__(f"{device} has no serial port that could be written to")


class WriteTooLong(SerialError):
    """More than is written at once."""

    code = "too_long"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"{limit_bytes} bytes are written at once at most; send the rest in further pieces")


class WriteBroke(SerialError):
    """Only a part was written; ``why`` says how much."""

    code = "write_broke"

    def __init__(self, device: str, wanted_bytes: int, why: str) -> None:
        super().__init__(f"{device} was not sent all of {wanted_bytes} bytes: {why}")


# What may be gone when the same is tried again: a bad contact, a disturbed line, a machine under load. Not what is wrong with the request.
TRANSIENT = frozenset(
    {"connect_failed", "connection_lost", "write_failed", "verify_failed", ToolDied.code, ToolSilent.code}
)
# What stays as it is until somebody asks for something else, or does something about the board.
LASTING = frozenset(
    {
        DeviceNotAttached.code, DeviceGone.code, LeasedToAnother.code, TimedOut.code, NoDriver.code, WrongBoard.code, ImageMissing.code,
        ImageRefused.code, NoPartition.code, ResetFailed.code, "wrong_chip", "chip_protected", "cannot_verify", "cannot_erase",
        "option_refused", "ambiguous_drive", "cancelled",
    }
)  # fmt: skip
