"""The ways to the serial port of a virtual board of the ESP32 family: DTR and RTS, TCP and RFC 2217."""

import asyncio
from pathlib import Path

import pytest
import serial

from benchwire.boards.virtual.board import ResetMode
from benchwire.boards.virtual.esp.network import reachable
from benchwire.boards.virtual.esp.wires import Adapter
from benchwire.boards.virtual.uart import Uart
from benchwire.events.testing.eventually import eventually


@pytest.mark.parametrize(
    ("steps", "resets"),
    [
        # what pyserial does when it opens a port, and a terminal afterwards
        (["D1", "R1", "R0", "D0"], []),
        (["R1", "R0"], ["run"]),  # esptool's hard reset
        (["D1", "R1", "D0", "R1", "D1", "R0", "D0"], ["download"]),  # its way into the loader
        (["D1", "D0"], []),
        (["R1", "R0", "R1", "D1", "R0"], ["run", "download"]),
    ],
)
def test_dtr_and_rts_reset_the_chip_as_on_a_development_board(steps: list[str], resets: list[ResetMode]) -> None:
    adapter = Adapter()
    seen = []
    for step in steps:
        if step[0] == "D":
            adapter.dtr = step[1] == "1"
        else:
            adapter.rts = step[1] == "1"
        if (mode := adapter.take_reset()) is not None:
            seen.append(mode)
    assert seen == resets


@pytest.mark.filterwarnings("ignore:set.* is deprecated:DeprecationWarning")  # in pyserial itself
async def test_every_byte_and_the_wires_get_over_rfc2217_and_over_tcp(tmp_path: Path) -> None:
    everything = bytes(range(256))
    arrived = bytearray()
    resets: list[ResetMode] = []

    async def reset(mode: ResetMode) -> None:
        resets.append(mode)

    def talk(url: str) -> bytes:
        with serial.serial_for_url(url, timeout=30) as port:
            port.write(everything)
            heard: bytes = port.read(256)
            if url.startswith("rfc2217"):
                port.dtr = False
                port.rts = True
                port.dtr = True
                port.rts = False
            return heard

    with Uart.open(tmp_path / "tty") as uart:
        uart.on_receive(arrived.extend)
        async with reachable(uart, reset) as urls:
            for url in (urls.socket, urls.rfc2217):
                arrived.clear()
                talking = asyncio.create_task(asyncio.to_thread(talk, url))
                await eventually(lambda: len(arrived) == len(everything), within_s=30, what=f"{url} to speak")
                uart.write(everything)
                assert await talking == everything == arrived
            await eventually(lambda: resets == ["download"], within_s=30, what="the wires to reset the chip")
