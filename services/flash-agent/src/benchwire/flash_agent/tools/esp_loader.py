"""What every process that speaks to an ESP's loader through esptool needs. Imports no esptool itself."""

import os
from pathlib import Path
from typing import Any

import serial

ROM_BAUD = 115200

_CFG = Path(__file__).with_name("esptool.cfg")


def environment() -> dict[str, str]:
    """That of this process, and esptool's settings; a lab may have its own."""
    return {"ESPTOOL_CFGFILE": str(_CFG), **os.environ}


def use_quick_ports() -> None:
    """Has pyserial, which esptool opens ports with, find the handlers in ``tools/handlers`` before its own."""
    serial.protocol_handler_packages.insert(0, "benchwire.flash_agent.tools.handlers")


def chip_name(esp: Any) -> str:
    """The chip behind esptool's object, in the spelling of its command line (``esp32c3``)."""
    return str(esp.CHIP_NAME).lower().replace("-", "")
