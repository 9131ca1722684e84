"""From a board and a request to a tool's order."""

from collections.abc import Sequence

from benchwire.boards import profile as profiles
from benchwire.events.flash import FlashRequested
from benchwire.flash_agent.errors import NoDriver, WrongBoard
from benchwire.flash_agent.probes import Device
from benchwire.flash_agent.tools import chips
from benchwire.flash_agent.tools.esp_loader import ROM_BAUD
from benchwire.flash_agent.tools.pieces import Piece
from benchwire.flash_agent.tools.worker_protocol import AnyOrder, EsptoolOrder, PyocdOrder, Segment, Uf2Order

DRIVERS = ("esptool", "pyocd", "uf2")

REAL_BAUD = 460800  # all bridges of the table can do it, and stubs too; the ROM itself stays at 115200


def profile_of(device: Device, request: FlashRequested) -> profiles.Profile | None:
    """The profile of the board: what is known of it, or else what the request says. Raises ``NoDriver`` and ``WrongBoard``."""
    try:
        known = profiles.load(device.profile) if device.profile is not None else None
        asked = profiles.load(request.profile) if request.profile is not None else None
    except profiles.UnknownProfile as error:
        raise NoDriver(str(error)) from error
    if known is not None and asked is not None and known.board != asked.board:
        raise WrongBoard(f"the image is for a {asked.name}, and {device.name} is a {known.name}")
    return known or asked


def order_for(
    device: Device, profile: profiles.Profile | None, request: FlashRequested, pieces: Sequence[Piece]
) -> AnyOrder:
    """What the tool is told. Raises ``NoDriver``."""
    segments = [Segment(one.address, len(one.data), one.partition) for one in pieces]
    if profile is None:
        if device.driver != "esptool":
            raise NoDriver(
                f"{device.name} cannot be flashed: its kind of board is not known; name a profile in the request"
            )
        return _esptool(device, None, None, request, segments)
    match profile.driver:
        case None:
            raise NoDriver(str(profiles.NotFlashed(profile)))
        case profiles.Pyocd() as driver:
            return _pyocd(device, profile, driver, request, segments)
        case profiles.Uf2() as driver:
            return _uf2(device, profile, driver, request, segments)
        case profiles.Esptool() as driver:
            return _esptool(device, profile, driver, request, segments)


def esptool_before(device: Device) -> str:
    """esptool's way into the loader: through the modem lines, unless a hand brings the board there before the tool begins (``bench.in_loader``).

    A pty has no modem lines, and a lab may have others.
    """
    return "no-reset" if device.virtual or device.hooks.download else "default-reset"


def _pyocd(
    device: Device, profile: profiles.Profile, driver: profiles.Pyocd, request: FlashRequested, segments: list[Segment]
) -> PyocdOrder:
    if device.probe is None:
        raise NoDriver(f"{device.name} is flashed through a debug probe, and none is known for it")
    return PyocdOrder(
        segments=segments,
        flash_bytes=profile.flash.size_bytes,
        erase=request.options.erase,
        max_bytes_per_s=request.max_bytes_per_s,
        probe=device.probe,
        target=driver.target,
        chip=chips.chip_of(profile.name, driver.target),
    )


def _uf2(
    device: Device, profile: profiles.Profile, driver: profiles.Uf2, request: FlashRequested, segments: list[Segment]
) -> Uf2Order:
    return Uf2Order(
        segments=segments,
        flash_bytes=profile.flash.size_bytes,
        erase=request.options.erase,
        max_bytes_per_s=request.max_bytes_per_s,
        board_id=driver.board_id,
        family=driver.family,
        sector_bytes=driver.sector_bytes,
        drive=device.drive,
    )


def _esptool(
    device: Device, profile: profiles.Profile | None, driver: profiles.Esptool | None, request: FlashRequested,
    segments: list[Segment],
) -> EsptoolOrder:  # fmt: skip
    if device.port is None:
        raise NoDriver(f"{device.name} is flashed through a serial port, and none is known for it")
    return EsptoolOrder(
        segments=segments,
        flash_bytes=None if profile is None else profile.flash.size_bytes,
        erase=request.options.erase,
        max_bytes_per_s=request.max_bytes_per_s,
        port=device.port,
        before=esptool_before(device),
        chip=None if driver is None else driver.chip,
        boot_address=None if driver is None else driver.offset,
        baud=ROM_BAUD if device.virtual else REAL_BAUD,
        flash_size=request.options.flash_size,
        flash_mode=request.options.flash_mode,
        flash_freq=request.options.flash_freq,
        compress=request.options.compress,
        stub=request.options.stub,
    )
