"""The flash agent as a process, with a real NATS server, the real flash tools, and virtual boards as processes."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from benchwire.boards import profile as profiles
from benchwire.boards.virtual import hand
from benchwire.events import child, codec, device, flash, host, nats_server
from benchwire.events.asks import HostScanned, ScanHost
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus, Msg
from benchwire.events.event import Artifact, Event
from benchwire.events.live import FlashProgress, SerialLine
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.processes import below

HOST = "lab-1"
STM32, ESP = "stm32f405", "esp32c3"
TOOLS = ("arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "qemu-system-arm", "setpriv")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

PAD_BYTES = 48 * 1024
SLOWLY = 15_000  # bytes a second
SOURCE = """
#include "board.h"
#ifdef PADDED
extern const uint8_t pad[];
#endif
int main(void) {
    board_init();
    uart_puts("BOOT " TAG " on " BOARD_NAME "\\r\\n");
#ifdef PADDED
    uart_put_u32(pad[7]);
#endif
    uart_puts("TEST PASS\\r\\n");
    for (;;) { delay_ms(1000); }
}
"""

E = TypeVar("E", bound=Event)


def built(directory: Path, profile: profiles.Profile, tag: str, *, padded: bool) -> bytes:
    """The image of the firmware that says ``tag``; padded with bytes that do not compress."""
    directory.mkdir(parents=True)
    (directory / "main.c").write_text(SOURCE)
    sources = [str(directory / "main.c"), *(str(profiles.ROOT / one) for one in profile.support_sources)]
    if padded:
        numbers = ",".join(str(byte) for byte in random.Random(7).randbytes(PAD_BYTES))
        (directory / "pad.c").write_text(f"#include <stdint.h>\nconst uint8_t pad[] = {{{numbers}}};\n")
        sources.append(str(directory / "pad.c"))
    elf, image = directory / "firmware.elf", directory / "firmware.bin"
    argv = profile.compile_argv(
        sources,
        include=str(profiles.ROOT / "common"),
        linker_script=str(profiles.ROOT / profile.linker_script),
        output=str(elf),
    )
    macros = [f'-DTAG="{tag}"', *(["-DPADDED"] if padded else [])]
    subprocess.run(child.dying_with_owner([argv[0], *macros, *argv[1:]]), check=True, capture_output=True)
    match profile.image:
        case profiles.EspImage() as esp:
            pack = [sys.executable, "-m", "esptool", "--chip", esp.chip, "elf2image", *esp.arguments]
            subprocess.run(child.dying_with_owner([*pack, "-o", str(image), str(elf)]), check=True, capture_output=True)
        case profiles.BinImage():
            objcopy = [profile.compiler.objcopy, "-O", "binary", str(elf), str(image)]
            subprocess.run(child.dying_with_owner(objcopy), check=True, capture_output=True)
    return image.read_bytes()


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], bytes]:
    """Images by profile and kind: ``small``, and ``large``, which takes a while on a slow line."""
    root = tmp_path_factory.mktemp("firmware")
    return {
        (name, kind): built(root / name / kind, profiles.load(name), kind.upper(), padded=kind == "large")
        for name in (STM32, ESP)
        for kind in ("small", "large")
    }


class Lab:
    """One host of a lab: its virtual boards, its flash agent, and everything that was said."""

    def __init__(self, bus: Bus, nats_url: str, data: Path, run_dir: Path, stack: contextlib.AsyncExitStack) -> None:
        self.bus = bus
        self.log = Log(bus)
        self.data = data
        self.run_dir = run_dir
        self.samples: list[Event] = []
        self.boards: dict[str, asyncio.subprocess.Process] = {}
        self._nats_url = nats_url
        self._stack = stack

    async def listen(self) -> None:
        async def take(message: Msg) -> None:
            sample = codec.decode(message.data)
            assert isinstance(sample, Event)
            self.samples.append(sample)

        await self.bus.nc.subscribe("live.>", cb=take)

    async def plug(self, profile: str, name: str) -> None:
        argv = [sys.executable, "-m", "benchwire.boards.virtual", profile, "--name", name]
        argv += ["--run-dir", str(self.run_dir), "--die-with-parent"]
        board = child.spawn(argv, stdout=child.DEVNULL)
        self.boards[name] = await self._stack.enter_async_context(board)

    async def ask_board(self, board: str, **command: Any) -> dict[str, Any]:
        return await asyncio.to_thread(hand.told, str(self.run_dir / f"{board}.control"), **command)

    async def line_speed(self, board: str, bytes_per_s: int) -> None:
        """How fast the board's line is from now on; 0 is as fast as it can be."""
        await self.ask_board(board, do="fault", kind="slow", bytes_per_s=bytes_per_s)

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncGenerator[asyncio.subprocess.Process, None]:
        env = os.environ | {
            "NATS_URL": self._nats_url,
            "BENCHWIRE_HOST": HOST,
            "BENCHWIRE_DATA": str(self.data),
            "BENCHWIRE_VIRTUAL_DIR": str(self.run_dir),
            "BENCHWIRE_ACK_WAIT_S": "3",
        }
        async with child.spawn([sys.executable, "-m", "benchwire.flash_agent"], env=env, grace_s=3.0) as process:
            await eventually(lambda: Presence(self.bus).is_there("flash-agent", HOST))
            yield process

    async def facts(self, kind: type[E], **fields: str) -> list[E]:
        found = [one.event async for one in self.log.read(["bench.>"])]
        return [
            event
            for event in found
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
        ]

    async def fact(self, kind: type[E], *, within_s: float = 30.0, count: int = 1, **fields: str) -> E:
        async def there() -> list[E]:
            found = await self.facts(kind, **fields)
            return found if len(found) >= count else []

        found: list[E] = await eventually(there, within_s=within_s, what=f"{kind.__name__} {fields}")
        return found[-1]

    async def attached(self, *names: str) -> None:
        for name in names:
            await self.fact(device.DeviceAttached, device=name)

    @contextlib.asynccontextmanager
    async def writing_slowly(
        self, profile: str, image: bytes
    ) -> AsyncGenerator[tuple[asyncio.subprocess.Process, psutil.Process], None]:
        """``board-1`` is plugged in, and ``job_1`` writes ``image`` to it over a slow line: the agent, and its flash tool at work."""
        await self.plug(profile, "board-1")
        async with self.agent() as agent:
            await self.attached("board-1")
            await self.line_speed("board-1", SLOWLY)
            await self.request("board-1", profile, image, "job_1")
            await self.writing("job_1")
            tool = below(agent.pid, "_worker")
            assert tool is not None
            yield agent, tool

    async def request(self, board: str, profile: str, image: bytes, job_id: str, **fields: Any) -> None:
        artifact = await Blobs(self.bus).put(image, name="firmware.bin")
        await self.request_of(board, profile, artifact, job_id, **fields)

    async def request_of(self, board: str, profile: str, artifact: Artifact, job_id: str, **fields: Any) -> None:
        request = flash.FlashRequested(
            timestamp=datetime.now(UTC), host=HOST, job_id=job_id, device=board, image=artifact, profile=profile,
            **{"address": profiles.load(profile).firmware_address, **fields},
        )  # fmt: skip
        await self.log.append(request)

    async def cancel(self, job_id: str) -> None:
        await self.log.append(flash.FlashCancelRequested(timestamp=datetime.now(UTC), host=HOST, job_id=job_id))

    def progress(self, job_id: str, stage: str | None = None) -> list[FlashProgress]:
        found = [one for one in self.samples if isinstance(one, FlashProgress) and one.job_id == job_id]
        return [one for one in found if stage in (None, one.stage)]

    def lines(self, board: str, job_id: str | None) -> list[str]:
        return [
            one.line
            for one in self.samples
            if isinstance(one, SerialLine) and one.device == board and one.job_id == job_id
        ]

    async def writing(self, job_id: str, *, done_bytes: int = 1) -> None:
        def under_way() -> bool:
            return any(one.done_bytes >= done_bytes for one in self.progress(job_id, "writing"))

        await eventually(under_way, what=f"{job_id} writes")


@pytest.fixture
def run_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bw-") as directory:  # short: unix sockets live there
        yield Path(directory)


@pytest.fixture
async def lab(nats: nats_server.Server, bus: Bus, tmp_path: Path, run_dir: Path) -> AsyncIterator[Lab]:
    async with contextlib.AsyncExitStack() as stack:
        lab = Lab(bus, nats.url, tmp_path / "data", run_dir, stack)
        await lab.listen()
        yield lab


Firmware = dict[tuple[str, str], bytes]


async def test_a_board_that_is_plugged_in_is_told_and_one_that_is_pulled_too(lab: Lab) -> None:
    async with lab.agent():
        started = await lab.fact(host.HostStarted)
        assert started.drivers == ["esptool", "pyocd", "uf2"]
        await lab.plug(ESP, "esp-1")
        there = await lab.fact(device.DeviceAttached, device="esp-1")
        assert (there.profile, there.driver, there.virtual) == (ESP, "esptool", True)
        scanned = await lab.bus.ask(f"ask.host.{HOST}.scan", ScanHost(host=HOST), HostScanned)
        assert isinstance(scanned, HostScanned)
        assert scanned.devices == ["esp-1"]
        await child.stop_tree(lab.boards["esp-1"])
        await lab.fact(device.DeviceDetached, device="esp-1")


async def test_a_board_that_left_while_nobody_looked_is_told_gone_at_the_next_start(lab: Lab) -> None:
    await lab.plug(ESP, "esp-1")
    async with lab.agent():
        await lab.attached("esp-1")
    await child.stop_tree(lab.boards["esp-1"])
    async with lab.agent():
        gone = await lab.fact(device.DeviceDetached, device="esp-1")
        assert gone.reason == "unplugged"


async def test_a_board_that_stayed_is_not_told_again(lab: Lab) -> None:
    await lab.plug(ESP, "esp-1")
    for _ in range(2):
        async with lab.agent():
            await lab.attached("esp-1")
    assert len(await lab.facts(device.DeviceAttached)) == 1
    assert await lab.facts(device.DeviceDetached) == []


async def test_two_boards_are_flashed_side_by_side_and_boot_what_they_got(lab: Lab, firmware: Firmware) -> None:
    await lab.plug(STM32, "stm-1")
    await lab.plug(ESP, "esp-1")
    async with lab.agent():
        await lab.attached("stm-1", "esp-1")
        await lab.request("stm-1", STM32, firmware[STM32, "large"], "job_stm")
        await lab.request("esp-1", ESP, firmware[ESP, "large"], "job_esp")
        done_stm = await lab.fact(flash.FlashCompleted, job_id="job_stm")
        done_esp = await lab.fact(flash.FlashCompleted, job_id="job_esp")
        assert "read back" in done_stm.verified_by
        assert "MD5" in done_esp.verified_by
        for board, job_id in (("stm-1", "job_stm"), ("esp-1", "job_esp")):
            await eventually(
                lambda board=board, job_id=job_id: "TEST PASS" in " ".join(lab.lines(board, job_id)),  # type: ignore[misc]
                what=f"{board} boots",
            )
        # Nothing of the boot is lost, and nothing from before it is taken for it.
        assert lab.lines("stm-1", "job_stm")[0] == "BOOT LARGE on stm32f405"
        assert lab.lines("esp-1", "job_esp")[0].startswith("ESP-ROM:")
        assert "BOOT LARGE on esp32c3" in lab.lines("esp-1", "job_esp")
        for board in ("stm-1", "esp-1"):
            assert (await lab.ask_board(board, do="status"))["running"]
    started = {one.job_id: one for one in await lab.facts(flash.FlashStarted)}
    assert started["job_stm"].timestamp < done_esp.timestamp
    assert started["job_esp"].timestamp < done_stm.timestamp
    assert started["job_esp"].total_bytes == len(firmware[ESP, "large"])
    _assert_honest(lab.progress("job_stm"))
    _assert_honest(lab.progress("job_esp"))


def _assert_honest(samples: list[FlashProgress]) -> None:
    """Stages come in order, nothing goes back, nothing comes too often."""
    stages = list(dict.fromkeys(one.stage for one in samples))
    assert stages == [one for one in ("connecting", "erasing", "writing", "verifying", "resetting") if one in stages]
    assert {"connecting", "writing"} <= set(stages)
    for stage in stages:
        done = [one.done_bytes for one in samples if one.stage == stage]
        assert done == sorted(done)
    times = [one.timestamp.timestamp() for one in samples]
    assert all(later - earlier > 0.095 for earlier, later in pairwise(times))


@pytest.mark.parametrize("profile", [STM32, ESP])
async def test_an_image_for_another_board_is_refused_and_nothing_is_written(
    lab: Lab, firmware: Firmware, profile: str
) -> None:
    other = ESP if profile == STM32 else STM32
    await lab.plug(profile, "board-1")
    async with lab.agent():
        await lab.attached("board-1")
        before = (await lab.ask_board("board-1", do="status"))["flash_sha256"]
        await lab.request("board-1", profile, firmware[other, "small"], "job_wrong")
        failed = await lab.fact(flash.FlashFailed, job_id="job_wrong")
        assert (failed.code, failed.flash_state) == ("image_refused", "untouched")
        await lab.request("board-1", other, firmware[other, "small"], "job_other")
        assert (await lab.fact(flash.FlashFailed, job_id="job_other")).code == "wrong_board"
        assert (await lab.ask_board("board-1", do="status"))["flash_sha256"] == before


@pytest.mark.parametrize(("profile", "address"), [(STM32, 0x0800_0101), (ESP, 0x100)])
async def test_a_bit_that_went_wrong_is_found_by_verification(
    lab: Lab, firmware: Firmware, profile: str, address: int
) -> None:
    await lab.plug(profile, "board-1")
    async with lab.agent():
        await lab.attached("board-1")
        await lab.ask_board("board-1", do="fault", kind="flip_bit", address=address)
        await lab.request("board-1", profile, firmware[profile, "small"], "job_bad")
        failed = await lab.fact(flash.FlashFailed, job_id="job_bad")
        assert (failed.code, failed.flash_state) == ("verify_failed", "complete_unverified")
        await lab.request("board-1", profile, firmware[profile, "small"], "job_good")
        await lab.fact(flash.FlashCompleted, job_id="job_good")


async def test_a_request_for_a_board_that_is_not_there_or_bytes_that_are_not_there_fails_at_once(lab: Lab) -> None:
    await lab.plug(ESP, "esp-1")
    nothing = Artifact(digest="0" * 64, size_bytes=10, name="lost.bin")
    async with lab.agent():
        await lab.attached("esp-1")
        await lab.request_of("esp-9", ESP, nothing, "job_nobody")
        await lab.request_of("esp-1", ESP, nothing, "job_nothing")
        nobody = await lab.fact(flash.FlashFailed, job_id="job_nobody")
        assert nobody.code == "device_not_attached"
        lost = await lab.fact(flash.FlashFailed, job_id="job_nothing")
        assert (lost.code, lost.flash_state) == ("image_missing", "untouched")


@pytest.mark.parametrize("profile", [STM32, ESP])
async def test_a_flash_tool_that_is_killed_fails_its_job_and_the_agent_lives(
    lab: Lab, firmware: Firmware, profile: str
) -> None:
    async with lab.writing_slowly(profile, firmware[profile, "large"]) as (agent, tool):
        tool.kill()
        failed = await lab.fact(flash.FlashFailed, job_id="job_1")
        assert (failed.code, failed.flash_state) == ("tool_died", "partial")
        assert "SIGKILL" in failed.error
        assert agent.returncode is None
        await lab.line_speed("board-1", 0)
        await lab.request("board-1", profile, firmware[profile, "small"], "job_2")
        await lab.fact(flash.FlashCompleted, job_id="job_2")


@pytest.mark.parametrize("profile", [STM32, ESP])
async def test_a_job_whose_agent_was_killed_is_done_by_the_next(lab: Lab, firmware: Firmware, profile: str) -> None:
    async with lab.writing_slowly(profile, firmware[profile, "large"]) as (agent, tool):
        agent.send_signal(signal.SIGKILL)
        await agent.wait()
        await eventually(lambda: not tool.is_running() or tool.status() == psutil.STATUS_ZOMBIE)
    await lab.line_speed("board-1", 0)
    async with lab.agent():
        await lab.fact(flash.FlashCompleted, job_id="job_1")
    assert [one.attempt for one in await lab.facts(flash.FlashStarted, job_id="job_1")] == [1, 2]


async def test_what_is_asked_for_after_the_agent_was_killed_waits_for_what_was_asked_before(
    lab: Lab, firmware: Firmware
) -> None:
    """The killed agent's job came again only ten seconds later, so a newer one overtook it, and the board ended with the older image."""
    async with lab.writing_slowly(ESP, firmware[ESP, "large"]) as (agent, _):
        agent.send_signal(signal.SIGKILL)
        await agent.wait()
    await lab.line_speed("board-1", 0)
    async with lab.agent():
        await lab.request("board-1", ESP, firmware[ESP, "small"], "job_2")
        await lab.request("board-1", ESP, firmware[ESP, "small"], "job_3")
        await lab.cancel("job_3")
        await lab.fact(flash.FlashCancelled, job_id="job_3")  # waiting does not keep it from being cancelled
        await lab.fact(flash.FlashCompleted, job_id="job_2")
    assert [one.job_id for one in await lab.facts(flash.FlashCompleted)] == ["job_1", "job_2"]


@pytest.mark.parametrize("profile", [STM32, ESP])
async def test_a_board_that_is_pulled_in_the_middle_fails_its_job_and_nothing_else(
    lab: Lab, firmware: Firmware, profile: str
) -> None:
    await lab.plug(ESP, "board-2")
    async with lab.writing_slowly(profile, firmware[profile, "large"]) as (agent, _):
        await lab.attached("board-2")
        await lab.request("board-2", ESP, firmware[ESP, "small"], "job_2")
        await lab.ask_board("board-1", do="fault", kind="unplug")
        failed = await lab.fact(flash.FlashFailed, job_id="job_1")
        assert (failed.code, failed.flash_state) == ("device_gone", "partial")
        await lab.fact(device.DeviceDetached, device="board-1")
        await lab.fact(flash.FlashCompleted, job_id="job_2")
        await eventually(lambda: below(agent.pid, "_worker") is None)


@pytest.mark.parametrize("profile", [STM32, ESP])
async def test_a_job_is_cancelled_while_it_writes(lab: Lab, firmware: Firmware, profile: str) -> None:
    async with lab.writing_slowly(profile, firmware[profile, "large"]) as (agent, _):
        await lab.cancel("job_1")
        cancelled = await lab.fact(flash.FlashCancelled, job_id="job_1")
        assert cancelled.flash_state == "partial"
        assert below(agent.pid, "_worker") is None
        assert await lab.facts(flash.FlashFailed) == []


async def test_a_job_holds_between_two_blocks_and_goes_on(lab: Lab, firmware: Firmware) -> None:
    async with lab.writing_slowly(ESP, firmware[ESP, "large"]):
        await lab.log.append(flash.FlashPauseRequested(timestamp=datetime.now(UTC), host=HOST, job_id="job_1"))
        await lab.fact(flash.FlashPaused, job_id="job_1")
        await lab.line_speed("board-1", 0)
        await lab.log.append(flash.FlashResumeRequested(timestamp=datetime.now(UTC), host=HOST, job_id="job_1"))
        await lab.fact(flash.FlashResumed, job_id="job_1")
        await lab.fact(flash.FlashCompleted, job_id="job_1")


async def test_jobs_on_one_board_run_one_after_the_other_in_the_order_they_were_asked_for(
    lab: Lab, firmware: Firmware
) -> None:
    async with lab.writing_slowly(ESP, firmware[ESP, "large"]):
        for job_id in ("job_2", "job_3"):
            await lab.request("board-1", ESP, firmware[ESP, "large"], job_id)
        await lab.cancel("job_2")
        await lab.fact(flash.FlashCancelled, job_id="job_2")
        assert await lab.facts(flash.FlashCompleted) == []  # a waiting job is cancelled without waiting
        await lab.line_speed("board-1", 0)
        await lab.fact(flash.FlashCompleted, job_id="job_3")
    order = [
        (type(one).__name__, one.job_id)
        for one in await lab.facts(flash.FlashStarted | flash.FlashCompleted)  # type: ignore[arg-type]
    ]
    assert order == [
        ("FlashStarted", "job_1"), ("FlashCompleted", "job_1"), ("FlashStarted", "job_3"), ("FlashCompleted", "job_3"),
    ]  # fmt: skip


async def test_sigterm_ends_it_leaves_no_process_and_the_job_is_done_later(lab: Lab, firmware: Firmware) -> None:
    async with lab.writing_slowly(ESP, firmware[ESP, "large"]) as (agent, _):
        children = psutil.Process(agent.pid).children(recursive=True)
        assert children
        agent.terminate()
        assert await asyncio.wait_for(agent.wait(), 30) == 0
        assert not any(one.is_running() for one in children)
    stopped = await lab.fact(host.HostStopped)
    assert stopped.reason is not None
    assert "job_1 (flash partial)" in stopped.reason
    assert not await Presence(lab.bus).is_there("flash-agent", HOST)
    await lab.line_speed("board-1", 0)
    async with lab.agent():
        await lab.fact(flash.FlashCompleted, job_id="job_1")
