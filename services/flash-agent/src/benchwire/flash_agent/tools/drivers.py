"""From a board and a request to a tool's order."""

from benchwire.boards import profile as profiles
from benchwire.events.flash import FlashRequested
from benchwire.flash_agent.errors import NoDriver, WrongBoard
from benchwire.flash_agent.probes import Device
from benchwire.flash_agent.tools.worker_protocol import AnyOrder, EsptoolOrder, PyocdOrder

DRIVERS = ("esptool", "pyocd")

REAL_BAUD = 460800  # all bridges of the table can do it, and stubs too; the ROM itself stays at 115200


def profile_of(device: Device, request: FlashRequested) -> profiles.Profile | None:
    """The profile of the board: what is known of it, or else what the request says. Raises ``NoDriver`` and ``WrongBoard``."""
    try:
        known = profiles.load(device.profile) if device.profile is not None else None
        asked = profiles.load(request.profile) if request.profile is not None else None
    except profiles.UnknownProfile as error:
        raise NoDriver(str(error)) from error
    if known is not None and asked is not None and known.name != asked.name:
        raise WrongBoard(f"the image is for a {asked.name}, and {device.name} is a {known.name}")
    return known or asked


def order_for(device: Device, profile: profiles.Profile | None, request: FlashRequested) -> AnyOrder:
    """What the tool is told. Raises ``NoDriver``."""
    driver = None if profile is None else profile.driver
    flash_bytes = None if profile is None else profile.flash.size_bytes
    size_bytes = request.image.size_bytes
    if isinstance(driver, profiles.Pyocd):
        if device.probe is None:
            raise NoDriver(f"{device.name} is flashed through a debug probe, and none is known for it")
        return PyocdOrder(
            address=request.address,
            size_bytes=size_bytes,
            flash_bytes=flash_bytes,
            probe=device.probe,
            target=driver.target,
        )
    if isinstance(driver, profiles.Esptool) or (driver is None and device.driver == "esptool"):
        if device.port is None:
            raise NoDriver(f"{device.name} is flashed through a serial port, and none is known for it")
        return EsptoolOrder(
            address=request.address,
            size_bytes=size_bytes,
            flash_bytes=flash_bytes,
            port=device.port,
            # A pty has no modem lines: a virtual board is put into its loader through its control socket.
            before="no-reset" if device.virtual else "default-reset",
            chip=None if driver is None else driver.chip,
            boot_address=None if driver is None else driver.offset,
            baud=115200 if device.virtual else REAL_BAUD,
        )
    raise NoDriver(f"{device.name} cannot be flashed: its kind of board is not known; name a profile in the request")
