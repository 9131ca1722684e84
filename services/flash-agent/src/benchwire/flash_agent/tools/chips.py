"""Which chip is behind the probe? Debug probes flash whatever they are told; these registers tell one chip from another.

Sources: the chapters "Debug support (DBG)" and "Device electronic signature" of ST's reference manuals (RM0008, RM0041, RM0090, RM0091,
RM0351, RM0360, RM0383, RM0394, RM0402, RM0410, RM0433), and "FICR" of Nordic's nRF51 and nRF52 reference manuals.
"""

from typing import Literal

import msgspec

Core = Literal["Cortex-M0", "Cortex-M3", "Cortex-M4", "Cortex-M7"]

CPUID = 0xE000_ED00
_PART_NUMBERS: dict[int, Core] = {0xC20: "Cortex-M0", 0xC23: "Cortex-M3", 0xC24: "Cortex-M4", 0xC27: "Cortex-M7"}


class Chip(msgspec.Struct, frozen=True, kw_only=True):
    """``title`` is its name for people. Its core is a ``core``, and the word at ``register`` under ``mask`` is one of ``ids``.

    At ``size_register`` lies how many units of ``size_unit_bytes`` of flash the chip has, in ``size_bits`` bits.
    """

    title: str
    core: Core
    register: int
    mask: int
    ids: list[int]
    size_register: int | None = None
    size_unit_bytes: int = 1024
    size_bits: int = 16


_CORTEX_M_DBGMCU = 0xE004_2000  # IDCODE of the DBGMCU on everything with an M3, M4 or M7 but the H7
_M0_DBGMCU = 0x4001_5800
_H7_DBGMCU = 0x5C00_1000
_DEV_ID = 0xFFF


def _stm32(title: str, core: Core, dev_id: int, size_register: int, register: int = _CORTEX_M_DBGMCU) -> Chip:
    return Chip(title=title, core=core, register=register, mask=_DEV_ID, ids=[dev_id], size_register=size_register)


_F1_SIZE, _F4_SIZE, _L4_SIZE, _F0_SIZE, _F7_SIZE = 0x1FFF_F7E0, 0x1FFF_7A22, 0x1FFF_75E0, 0x1FFF_F7CC, 0x1FF0_F442
_NRF51 = Chip(
    title="nRF51",
    core="Cortex-M0",
    register=0x1000_0010,
    mask=0xFFFF_FFFF,
    ids=[1024],
    size_register=0x1000_0014,
    size_bits=32,
)

# By the beginning of a profile's name, or else of pyocd's target type; the longest beginning counts.
CHIPS = {
    "stm32f051": _stm32("STM32F051", "Cortex-M0", 0x440, _F0_SIZE, _M0_DBGMCU),
    "stm32f100": _stm32("STM32F100", "Cortex-M3", 0x420, _F1_SIZE),
    "stm32f103rc": _stm32("STM32F103, high density", "Cortex-M3", 0x414, _F1_SIZE),  # of lower density: other pages
    "stm32f405": _stm32("STM32F405/407", "Cortex-M4", 0x413, _F4_SIZE),
    "stm32f407": _stm32("STM32F405/407", "Cortex-M4", 0x413, _F4_SIZE),
    "stm32f411": _stm32("STM32F411", "Cortex-M4", 0x431, _F4_SIZE),
    "stm32f412": _stm32("STM32F412", "Cortex-M4", 0x441, _F4_SIZE),
    "stm32f429": _stm32("STM32F42x/43x", "Cortex-M4", 0x419, _F4_SIZE),
    "stm32f439": _stm32("STM32F42x/43x", "Cortex-M4", 0x419, _F4_SIZE),
    "stm32f446": _stm32("STM32F446", "Cortex-M4", 0x421, _F4_SIZE),
    "stm32f767": _stm32("STM32F76x/77x", "Cortex-M7", 0x451, _F7_SIZE),
    "stm32h743": _stm32("STM32H742/743/750/753", "Cortex-M7", 0x450, 0x1FF1_E880, _H7_DBGMCU),
    "stm32h750": _stm32("STM32H742/743/750/753", "Cortex-M7", 0x450, 0x1FF1_E880, _H7_DBGMCU),
    "stm32l432": _stm32("STM32L41x/43x/44x", "Cortex-M4", 0x435, _L4_SIZE),
    "stm32l475": _stm32("STM32L475/476/486", "Cortex-M4", 0x415, _L4_SIZE),
    "nrf51": _NRF51,
    "nrf52832": Chip(title="nRF52832", core="Cortex-M4", register=0x1000_0100, mask=0xFFFF_FFFF, ids=[0x52832]),
    "nrf52833": Chip(title="nRF52833", core="Cortex-M4", register=0x1000_0100, mask=0xFFFF_FFFF, ids=[0x52833]),
    "nrf52840": Chip(title="nRF52840", core="Cortex-M4", register=0x1000_0100, mask=0xFFFF_FFFF, ids=[0x52840]),
}


def chip_of(profile: str, target: str) -> Chip | None:
    """What must be found on a board of ``profile`` that pyocd flashes as ``target``; None when nobody knows how to ask.

    The profile comes first: a target may be borrowed from a sibling whose flash is programmed in the same way.
    """
    for name in (profile, target):
        known = max((beginning for beginning in CHIPS if name.startswith(beginning)), key=len, default=None)
        if known is not None:
            return CHIPS[known]
    return None


def size_in(chip: Chip, word: int) -> int | None:
    """The bytes of flash that the ``word`` at the chip's size register tells of; None when it tells nothing."""
    units = word & ((1 << chip.size_bits) - 1)
    nothing = units in (0, (1 << chip.size_bits) - 1)
    return None if nothing else units * chip.size_unit_bytes


def core_in(cpuid: int) -> str:
    """The core that the word at ``CPUID`` names."""
    part = cpuid >> 4 & 0xFFF
    return _PART_NUMBERS.get(part, f"core of part number {part:#x}")
