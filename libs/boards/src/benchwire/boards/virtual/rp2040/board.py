"""The virtual RP2040 as a board: a BOOTSEL button, a supply, a flash that stays, and a drive while it is in BOOTSEL.

The program in flash is not run: nothing here emulates the chip's cores and their peripherals. What the chip would do is said on the serial
port: which image it would run, or that it stays in BOOTSEL, as it does with a flash whose second stage has no valid checksum.
What can go wrong with it stands in `faults.py`.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from benchwire.boards import uf2
from benchwire.boards.rp2040 import FAMILY, FLASH_START, SECTOR_BYTES
from benchwire.boards.virtual.board import BoardError, Place, ResetMode
from benchwire.boards.virtual.rp2040 import bootrom
from benchwire.boards.virtual.rp2040.bootrom import BootRom, Transfer
from benchwire.boards.virtual.rp2040.drive import Drive
from benchwire.boards.virtual.rp2040.faults import Faults
from benchwire.boards.virtual.rp2040.flash import SIZE_BYTES, Flash
from benchwire.boards.virtual.uart import Uart

# How often the drive is looked at, while a host writes and when none has for a while.
LOOK_EVERY_S, LOOK_AT_LEAST_EVERY_S = 0.02, 0.2
SECTORS_AT_ONCE = 256
REBOOT_AFTER_S = 0.5  # the ROM leaves its host some time to finish with the file
BOOT_TAKES_S = 0.25
CURRENT_EVERY_S = 1.0

INFO_NAME, INDEX_NAME, CURRENT_NAME = "INFO_UF2.TXT", "INDEX.HTM", "CURRENT.UF2"
_INDEX = b'<html><head><meta http-equiv="refresh" content="0;URL=https://datasheets.raspberrypi.com/rp2040/"/></head></html>\n'

State = Literal["off", "bootsel", "booting", "program"]


@asynccontextmanager
async def open_board(place: Place, uart: Uart) -> AsyncIterator["Rp2040"]:
    """Power the board up: it boots its flash. Raises ``BoardError`` when the flash file can't be its flash."""
    drive = Drive(place.drive)
    drive.tear_out()  # what a board that was killed left
    with Flash.open(place.flash_file) as flash:
        async with asyncio.TaskGroup() as tasks:
            board = Rp2040(flash, drive, uart, tasks, current_uf2=place.current_uf2)
            await board.power(on=True)
            try:
                yield board
            finally:
                await board.power(on=False)
                drive.tear_out()


class Rp2040:
    """One board that is plugged in.

    With ``current_uf2`` the drive has the whole flash as a file, as loaders other than the RP2040's own offer it.
    """

    probe: str | None = None

    def __init__(
        self, flash: Flash, drive: Drive, uart: Uart, tasks: asyncio.TaskGroup, *, current_uf2: bool = False
    ) -> None:
        self._flash = flash
        self._faults = Faults(flash)
        self._drive = drive
        self._uart = uart
        self._tasks = tasks
        self._current_uf2 = current_uf2
        self._ram = bytearray(bootrom.RAM_END - bootrom.RAM_START)
        self._rom: BootRom | None = None
        self._state: State = "off"
        self._strap: ResetMode = "run"
        self._resets = 0
        self._activity: asyncio.Task[None] | None = None
        self._next_look_s = LOOK_EVERY_S
        self._stale_since: float | None = None  # since when CURRENT.UF2 is not what the flash holds

    @property
    def unplugged(self) -> asyncio.Event:
        """Set when a fault pulled the cable."""
        return self._faults.unplugged

    @property
    def drive(self) -> str:
        """Where the drive appears when the board is in BOOTSEL."""
        return str(self._drive.path)

    async def strap(self, mode: ResetMode) -> None:
        """Hold the BOOTSEL button ("download"), or let it go: the chip looks at it when it starts."""
        self._strap = mode

    async def reset(self, mode: ResetMode) -> None:
        """Reset the chip into what its flash holds, or into BOOTSEL."""
        if self._state == "off":
            raise BoardError("the board has no power")
        await self._stop()
        self._start(mode)

    async def power(self, on: bool) -> None:
        """Switch the supply. It ends what is wrong with the board."""
        if on == (self._state != "off"):
            return
        await self._stop()
        if on:
            self._faults.end()
            self._start("run")
        else:
            self._ram[:] = bytes(len(self._ram))
            self._state = "off"

    async def fault(self, kind: str, arguments: dict[str, Any]) -> None:
        """Make something go wrong."""
        self._faults.begin(kind, arguments)
        if self.unplugged.is_set():
            self._drive.tear_out()
        elif kind == "wrong_chip" and self._state == "bootsel":
            self._drive.replace(INFO_NAME, self._files()[INFO_NAME])

    def status(self) -> dict[str, Any]:
        """``state`` is one of off, bootsel, booting, program; the program itself never runs."""
        rom = self._rom
        return {
            "running": False,
            "powered": self._state != "off",
            "state": self._state,
            "strap": self._strap,
            "drive": self.drive if self._state == "bootsel" else None,
            "current_uf2": self._current_uf2,
            "flash_sha256": self._flash.sha256(),
            "written_blocks": 0 if rom is None else rom.written_blocks,
            "ignored_sectors": 0 if rom is None else rom.ignored_sectors,
            "resets": self._resets,
            "bytes_per_s": self._faults.bytes_per_s,
            "dropped_uart_bytes": self._uart.dropped_bytes,
        }

    # -- one reset to the next

    def _start(self, mode: ResetMode) -> None:
        self._resets += 1
        self._state = "booting"
        held: ResetMode = "download" if self._strap == "download" else mode
        self._activity = self._tasks.create_task(self._live(held))

    async def _stop(self) -> None:
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.cancel()
            await asyncio.gather(activity, return_exceptions=True)

    async def _live(self, mode: ResetMode) -> None:
        """What the chip does after a reset, until somebody cancels it."""
        while mode == "download" or not bootrom.boots(self._flash):
            why = "reset into it" if mode == "download" else "the flash has no valid second stage"
            self._say(f"in BOOTSEL: {why}")
            done = await self._bootsel()
            if done.to_ram:
                await self._would_run("RAM", bytes(self._ram).rstrip(b"\0"), done.lowest_address)
                return
            mode = self._strap
        await self._would_run("flash", self._flash.used(), FLASH_START)

    async def _would_run(self, where: str, image: bytes, address: int) -> None:
        self._state = "booting"
        await asyncio.sleep(BOOT_TAKES_S)
        self._state = "program"
        digest = hashlib.sha256(image).hexdigest()
        self._say(
            f"would run sha256:{digest}, {len(image)} bytes in {where} at {address:#010x}; a virtual RP2040 runs no program"
        )

    def _say(self, what: str) -> None:
        self._uart.write(f"virtual-rp2040: {what}\r\n".encode())

    # -- BOOTSEL

    async def _bootsel(self) -> Transfer:
        """Take what is copied onto the drive, until all blocks of a file are there."""
        self._rom = rom = BootRom(self._flash, self._ram)
        self._drive.plug(self._files())
        self._state = "bootsel"
        try:
            while (done := rom.complete) is None:
                await self._serve(rom)
            await asyncio.sleep(REBOOT_AFTER_S)
            self._drive.unplug()
        except asyncio.CancelledError:
            self._drive.tear_out()
            raise
        return done

    async def _serve(self, rom: BootRom) -> None:
        """A look at the drive, and what was written to it."""
        sectors = self._drive.take(self._at_once())
        for sector in sectors:
            if not self._faults.arrives(len(sector)):
                self._drive.tear_out()
                await asyncio.Event().wait()  # until the process is through with the board
            rom.write(sector)
            if rom.complete is not None:
                return
        if self._current_uf2:
            self._show_current(changed=bool(sectors))
        busy_s = uf2.BLOCK_BYTES * len(sectors) / self._faults.bytes_per_s if self._faults.bytes_per_s else 0.0
        await asyncio.sleep(max(busy_s, 0.0 if sectors else self._next_look_s))
        self._next_look_s = LOOK_EVERY_S if sectors else min(self._next_look_s * 1.05, LOOK_AT_LEAST_EVERY_S)

    def _at_once(self) -> int:
        """Sectors that are taken before the board looks up; on a slow line those of a tenth of a second."""
        if not self._faults.bytes_per_s:
            return SECTORS_AT_ONCE
        return max(1, min(SECTORS_AT_ONCE, self._faults.bytes_per_s // (10 * uf2.BLOCK_BYTES)))

    def _files(self) -> dict[str, bytes]:
        info = f"UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: {self._faults.board_id}\n"
        files = {INFO_NAME: info.encode(), INDEX_NAME: _INDEX}
        return files | ({CURRENT_NAME: self._current()} if self._current_uf2 else {})

    def _show_current(self, *, changed: bool) -> None:
        """The file follows the flash when there is nothing else to do, and once a second while there is."""
        now = asyncio.get_running_loop().time()
        if changed and self._stale_since is None:
            self._stale_since = now
        if self._stale_since is not None and (not changed or now - self._stale_since > CURRENT_EVERY_S):
            self._drive.replace(CURRENT_NAME, self._current())
            self._stale_since = now if changed else None

    def _current(self) -> bytes:
        return uf2.packed([(FLASH_START, self._flash.read(0, SIZE_BYTES))], family=FAMILY, sector_bytes=SECTOR_BYTES)
