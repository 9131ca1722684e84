"""The flash tools as processes, each on a virtual board: everything that an order can say, and what the flash then holds."""

import asyncio
import contextlib
import random
import struct
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from benchwire.boards.virtual import hand
from benchwire.boards.virtual.registry import BoardRecord, read_records
from benchwire.events import child
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent.errors import FlashError
from benchwire.flash_agent.tools import chips
from benchwire.flash_agent.tools.process import Tool, working
from benchwire.flash_agent.tools.worker_protocol import (
    AnyOrder,
    At,
    EsptoolOrder,
    Paused,
    PauseDeferred,
    PyocdOrder,
    Resumed,
    Saying,
    Segment,
    Throttled,
    Verified,
)

ESP, STM32, BASE = "esp32c3", "stm32f405", 0x0800_0000
FLASH = {ESP: 4 << 20, STM32: 1 << 20}
NOISE = random.Random(3).randbytes(100_000)


class Bench:
    """A virtual board, and its flash as a file."""

    def __init__(self, record: BoardRecord, directory: Path) -> None:
        self.record = record
        self._flash = directory / f"{record.name}.flash"

    async def ask(self, **command: Any) -> None:
        await asyncio.to_thread(hand.told, self.record.control, **command)

    def holds(self, address: int, data: bytes) -> bool:
        return self._flash.read_bytes()[address : address + len(data)] == data

    async def esp(self, segments: list[Segment], **fields: Any) -> EsptoolOrder:
        await self.ask(do="reset", mode="download")
        known = {"port": self.record.tty, "before": "no-reset", "chip": ESP, "boot_address": 0}
        return EsptoolOrder(segments=segments, **{**known, **fields})

    def stm32(self, segments: list[Segment], **fields: Any) -> PyocdOrder:
        assert self.record.probe is not None
        known = {"probe": self.record.probe, "target": "stm32f412xg", "chip": chips.chip_of(STM32, "stm32f412xg")}
        return PyocdOrder(segments=segments, **{**known, **fields})


@contextlib.asynccontextmanager
async def bench(profile: str) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="bw-") as place:  # short: unix sockets live there
        argv = [sys.executable, "-m", "benchwire.boards.virtual", profile, "--name", "b", "--run-dir", place]
        async with child.spawn([*argv, "--die-with-parent"], stdout=child.DEVNULL):

            def record() -> BoardRecord | None:
                return next(iter(read_records(Path(place))), None)

            there = await eventually(record, within_s=30, what="the board to be there")
            assert there is not None
            yield Bench(there, Path(place))


@pytest.fixture
async def esp() -> AsyncIterator[Bench]:
    async with bench(ESP) as there:
        yield there


@pytest.fixture
async def stm32() -> AsyncIterator[Bench]:
    async with bench(STM32) as there:
        yield there


Then = Callable[[Saying, Tool], Awaitable[None]]


async def done(order: AnyOrder, image: bytes, then: Then | None = None) -> list[Saying]:
    """Everything the tool said; it is told to go on when it has verified."""
    said: list[Saying] = []
    async with working(order, image) as tool:
        async for saying in tool.said():
            said.append(saying)
            if then is not None:
                await then(saying, tool)
            if isinstance(saying, Verified):
                await tool.tell("go")
    _assert_in_order(said)
    return said


async def refused(order: AnyOrder, image: bytes) -> FlashError:
    """Why the tool would not; nothing was touched."""
    async with working(order, image) as tool:
        with pytest.raises(FlashError) as error:
            async for _ in tool.said():
                pass
        assert tool.flash_state == "untouched"
    return error.value


def _assert_in_order(said: list[Saying]) -> None:
    """Bytes of a stage never go back; it resets only after it verified."""
    for stage in ("writing", "verifying"):
        steps = [one.done_bytes for one in said if isinstance(one, At) and one.stage == stage]
        assert steps == sorted(steps)
        assert steps[-1] == [one.total_bytes for one in said if isinstance(one, At) and one.stage == stage][-1]
    kinds = ["verified" if isinstance(one, Verified) else getattr(one, "stage", "") for one in said]
    assert kinds.index("verified") < kinds.index("resetting")


def program(size_bytes: int = 5000) -> bytes:
    """Something that looks like firmware for a Cortex-M, and spins when it is run."""
    return (struct.pack("<II", 0x2000_1000, BASE + 9) + b"\xfe\xe7").ljust(size_bytes, b"\xa5")


def table(*rows: tuple[str, int, int, int]) -> bytes:
    """A partition table; rows are name, type, address and size."""
    entries = (
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, 0, at, size, name.encode(), 0) for name, kind, at, size in rows
    )
    return b"".join(entries).ljust(0xC00, b"\xff")


async def test_several_images_are_written_and_each_is_verified_by_the_chip(esp: Bench) -> None:
    """One that does not compress lies between two that do, and the last has an odd length."""
    images = {0x10000: bytes(30_000), 0x20000: NOISE[:20_000], 0x9000: b"odd"}
    order = await esp.esp([Segment(address, len(data)) for address, data in images.items()])
    said = await done(order, b"".join(images.values()))
    assert all(esp.holds(address, data) for address, data in images.items())
    (verified,) = [one for one in said if isinstance(one, Verified)]
    assert (
        verified.verified_by == "esptool: MD5 of 50004 bytes in flash at 0x9000, 0x10000, 0x20000, computed by the chip"
    )


async def test_the_chip_is_erased_first_when_that_is_asked_for_with_and_without_a_stub(esp: Bench) -> None:
    for stub in (True, False):
        await done(await esp.esp([Segment(0x20000, 100)], stub=stub), NOISE[:100])
        order = await esp.esp([Segment(0x40000, 3000)], stub=stub, erase="chip")
        await done(order, NOISE[:3000])
        assert esp.holds(0x20000, b"\xff" * 100)
        assert esp.holds(0x40000, NOISE[:3000])


async def test_without_a_stub_the_rom_writes_several_images(esp: Bench) -> None:
    order = await esp.esp([Segment(0x10000, 5000), Segment(0x9000, 3)], stub=False)
    await done(order, NOISE[:5000] + b"odd")
    assert esp.holds(0x10000, NOISE[:5000])
    assert esp.holds(0x9000, b"odd")


@pytest.mark.parametrize("way", ["socket", "rfc2217"])
async def test_a_board_is_flashed_through_the_network(esp: Bench, way: str) -> None:
    before = (
        "default-reset" if way == "rfc2217" else "no-reset"
    )  # RFC 2217 carries the lines that bring it into its loader
    order = await esp.esp([Segment(0x10000, 5000)], port=getattr(esp.record, way), before=before)
    await done(order, NOISE[:5000])
    assert esp.holds(0x10000, NOISE[:5000])


async def test_a_partition_is_found_in_the_table_that_the_board_has(esp: Bench) -> None:
    data = Segment(0, 3000, "store")
    assert "flash a partition table there" in str(await refused(await esp.esp([data]), NOISE[:3000]))
    rows = table(("nvs", 1, 0x9000, 0x1000), ("store", 1, 0x30000, 0x1000))
    await done(await esp.esp([Segment(0x8000, len(rows))]), rows)
    await done(await esp.esp([data]), NOISE[:3000])
    assert esp.holds(0x30000, NOISE[:3000])
    unknown = await refused(await esp.esp([Segment(0, 10, "ota_0")]), NOISE[:10])
    assert (unknown.code, str(unknown)) == ("no_partition", "the board has no partition ota_0; it has nvs, store")
    large = await refused(await esp.esp([Segment(0, 5000, "store")]), NOISE[:5000])
    assert (large.code, str(large)) == (
        "image_refused",
        "5000 bytes at the partition store do not fit: it has 4096 bytes",
    )


async def test_an_esp_tells_what_it_is_before_anything_is_written(esp: Bench) -> None:
    other = await refused(await esp.esp([Segment(0x10000, 10)], chip="esp32s3"), NOISE[:10])
    assert (other.code, "has an esp32c3" in str(other)) == ("wrong_chip", True)
    large = await refused(await esp.esp([Segment((4 << 20) - 4096, 5000)], flash_bytes=16 << 20), NOISE[:5000])
    assert large.code == "image_refused"


async def test_a_pause_holds_between_two_blocks_and_a_limit_can_change_meanwhile(esp: Bench) -> None:
    order = await esp.esp([Segment(0x20000, 100_000)], max_bytes_per_s=200_000)
    await esp.ask(do="fault", kind="slow", bytes_per_s=30_000)  # so that connecting takes a while

    async def then(saying: Saying, tool: Tool) -> None:
        match saying:
            case At(stage="connecting"):
                await tool.tell("pause")
            case PauseDeferred():
                await tool.tell("resume")
            case At(stage="writing", done_bytes=done_bytes) if 0 < done_bytes <= 50_000:
                await tool.tell("pause")
            case Paused():
                await esp.ask(do="fault", kind="slow", bytes_per_s=0)
                await tool.tell("throttle", max_bytes_per_s=None)
            case Throttled():
                await tool.tell("resume")

    said = await done(order, NOISE, then)
    assert esp.holds(0x20000, NOISE)
    kinds = [type(one) for one in said]
    assert kinds.index(PauseDeferred) < kinds.index(Paused) < kinds.index(Throttled) < kinds.index(Resumed)
    assert Throttled(flash_state="partial", max_bytes_per_s=None) in said


async def test_a_cortex_m_gets_segments_that_lie_apart(stm32: Bench) -> None:
    far = NOISE[:3000]
    said = await done(stm32.stm32([Segment(BASE, 5000), Segment(BASE + 0x20000, 3000)]), program() + far)
    assert stm32.holds(0, program())
    assert stm32.holds(0x20000, far)
    (verified,) = [one for one in said if isinstance(one, Verified)]
    assert verified.verified_by == "pyocd: 8000 bytes at 0x8000000, 0x8020000 read back and compared"

    await done(stm32.stm32([Segment(BASE, 5000)], erase="chip"), program())
    assert stm32.holds(0x20000, b"\xff" * 3000)


async def test_the_chip_behind_a_probe_is_asked_what_it_is(stm32: Bench) -> None:
    other = await refused(stm32.stm32([Segment(BASE, 5000)], chip=chips.CHIPS["stm32f429"]), program())
    assert (other.code, "id is 0x419, and its chip says 0x413" in str(other)) == ("wrong_chip", True)
    core = await refused(stm32.stm32([Segment(BASE, 5000)], chip=chips.CHIPS["nrf51"]), program())
    assert (core.code, "is a Cortex-M0, and its chip is a Cortex-M4" in str(core)) == ("wrong_chip", True)
    large = await refused(stm32.stm32([Segment(BASE + FLASH[STM32] - 10, 100)]), NOISE[:100])
    assert large.code == "image_refused"
