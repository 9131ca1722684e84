"""Flash tools that hang, with the real thing on their other end."""

import asyncio
import fcntl
import socket
from pathlib import Path

import psutil
import pytest

from benchwire.events import flash
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.testing.samples import sample
from benchwire.flash_agent import preparing
from benchwire.flash_agent.errors import ImageRefused, ToolDied, ToolFailed, ToolSilent
from benchwire.flash_agent.testing import plugged
from benchwire.flash_agent.tools.process import SILENCE_LIMITS_S, Tool, working
from benchwire.flash_agent.tools.worker_protocol import EsptoolOrder, PyocdOrder, Segment


async def test_an_image_larger_than_the_flash_is_refused_before_it_is_fetched(bus: Bus) -> None:
    image = await Blobs(bus).put(b"x" * 100_000, name="image")
    request = sample(flash.FlashRequested, image=image)
    assert isinstance(request, flash.FlashRequested)
    with pytest.raises(ImageRefused, match="100000 bytes do not fit into 1000 bytes"):
        await preparing._fetched(request.image, Blobs(bus), 1000)


async def to_the_end(tool: Tool) -> None:
    async for _ in tool.said():
        pass


async def test_esptool_on_a_mute_board_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        order = EsptoolOrder(segments=[Segment(0, 4)], port=str(pty.link), before="no-reset")
        async with working(order, b"1234", limits_s=SILENCE_LIMITS_S | {"connecting": 2.0}) as tool:
            with pytest.raises(ToolSilent, match="2 s while connecting"):
                await to_the_end(tool)
    assert not psutil.pid_exists(tool.pid)


async def test_pyocd_whose_probe_hangs_up_is_ended_although_it_spins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = f"remote:127.0.0.1:{server.getsockname()[1]}"
        order = PyocdOrder(segments=[Segment(0x0800_0000, 4)], probe=probe, target="stm32f412xg")

        def hang_up() -> None:
            server.accept()[0].close()

        async with working(order, b"1234", limits_s=SILENCE_LIMITS_S | {"connecting": 4.0}) as tool:
            hanging_up = asyncio.create_task(asyncio.to_thread(hang_up))
            with pytest.raises((ToolSilent, ToolFailed)):
                await to_the_end(tool)
            await hanging_up
    assert not psutil.pid_exists(tool.pid)


async def test_a_port_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    order = EsptoolOrder(segments=[Segment(0, 4)], port=str(tmp_path / "nothing"), before="no-reset")
    async with working(order, b"1234") as tool:
        with pytest.raises(ToolFailed, match="nothing") as refused:
            await to_the_end(tool)
    assert tool.flash_state == "untouched"
    assert refused.value.code in ("connect_failed", "connection_lost")


async def test_a_port_that_another_program_has_is_told_with_what_to_do(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty, pty.link.open("rb", buffering=0) as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB)
        order = EsptoolOrder(segments=[Segment(0, 4)], port=str(pty.link), before="no-reset")
        async with working(order, b"1234") as tool:
            with pytest.raises(ToolFailed, match=r"another program has .*tty open; close it") as refused:
                await to_the_end(tool)
    assert (refused.value.code, tool.flash_state) == ("connect_failed", "untouched")


async def test_a_tool_that_is_killed_says_what_killed_it(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        order = EsptoolOrder(segments=[Segment(0, 4)], port=str(pty.link), before="no-reset")
        async with working(order, b"1234") as tool:
            psutil.Process(tool.pid).kill()
            with pytest.raises(ToolDied, match="SIGKILL"):
                await to_the_end(tool)
