"""The outside of a flash tool's process: starts it, hears it, watches over it."""

import asyncio
import contextlib
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import msgspec

from benchwire.events import cancels, child
from benchwire.flash_agent.errors import ToolDied, ToolFailed, ToolSilent
from benchwire.flash_agent.tools import esp_loader
from benchwire.flash_agent.tools.worker_protocol import (
    AnyOrder,
    At,
    Command,
    Do,
    Done,
    Failed,
    FlashState,
    Paused,
    Resumed,
    Saying,
    Stage,
    Verified,
    tool_of,
)

MODULES = {
    "esptool": "benchwire.flash_agent.tools.esptool_worker",
    "pyocd": "benchwire.flash_agent.tools.pyocd_worker",
    "uf2": "benchwire.flash_agent.tools.uf2_worker",
}

# How long a tool may report nothing in a stage. esptool tries to connect for 20 s and more; a ROM's erase of a whole flash takes minutes,
# an STM32's 128 KiB sector 2 s; the MD5 of 4 MiB half a minute.
SILENCE_LIMITS_S: dict[Stage, float] = {
    "connecting": 45.0,
    "erasing": 240.0,
    "writing": 30.0,
    "verifying": 90.0,
    "resetting": 20.0,
}

_sayings: msgspec.json.Decoder[Saying] = msgspec.json.Decoder(Saying)


class Tool:
    """A flash tool at work. ``flash_state`` is the worst that can be true of the flash now."""

    def __init__(self, process: asyncio.subprocess.Process, limits_s: Mapping[Stage, float]) -> None:
        self.flash_state: FlashState = "untouched"
        self.stage: Stage = "connecting"
        self._process = process
        self._limits_s = limits_s
        self._last_words: deque[str] = deque(maxlen=12)
        self._holds = False
        self._patience: asyncio.Timeout | None = None

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def said(self) -> AsyncIterator[Saying]:
        """What the tool says, up to and including ``Done``. Raises ``ToolFailed``, ``ToolDied`` and ``ToolSilent``."""
        while True:
            saying = await self._next()
            self.flash_state = saying.flash_state
            match saying:
                case At():
                    self.stage = saying.stage
                case Paused():
                    self._holds = True
                case Resumed():
                    self._holds = False
                case Verified():
                    self.stage = "resetting"
                case Failed():
                    raise ToolFailed(saying.code, saying.error)
                case Done():
                    yield saying
                    return
            yield saying

    async def _next(self) -> Saying:
        assert self._process.stdout is not None
        limit_s = None if self._holds else self._limits_s[self.stage]
        try:
            async with asyncio.timeout(limit_s) as self._patience:
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ToolSilent(self.stage, self._limits_s[self.stage]) from None
        finally:
            self._patience = None
        if not line:
            raise ToolDied(self.stage, await self._ending(), self.last_words)
        return _sayings.decode(line)

    async def _ending(self) -> str:
        code = await self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    @property
    def last_words(self) -> str:
        """The end of what the tool printed for people."""
        return " | ".join(self._last_words)[-400:]

    async def tell(self, do: Do, *, max_bytes_per_s: int | None = None) -> None:
        """Sends a command (the limit belongs to ``throttle``); one that comes after the tool's end has nothing left to do."""
        assert self._process.stdin is not None
        if do == "resume" and self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time() + self._limits_s[self.stage])
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(msgspec.json.encode(Command(do, max_bytes_per_s)) + b"\n")
            await self._process.stdin.drain()

    async def stop(self) -> None:
        """Ends the process, whatever it does."""
        await child.stop_tree(self._process, grace_s=0.3)

    async def hand_over(self, order: AnyOrder, image: bytes) -> None:
        """The order and the bytes of its segments."""
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):  # a tool that is dead already is noticed by its silence
            self._process.stdin.write(msgspec.json.encode(order) + b"\n" + image)
            await self._process.stdin.drain()

    async def keep_last_words(self) -> None:
        """Reads what the tool prints for people, so that it never waits for a reader."""
        assert self._process.stderr is not None
        while piece := await self._process.stderr.read(4096):
            lines = (line.strip() for line in piece.decode(errors="replace").splitlines())
            self._last_words.extend(line for line in lines if line)


@contextlib.asynccontextmanager
async def working(
    order: AnyOrder, image: bytes, *, limits_s: Mapping[Stage, float] | None = None
) -> AsyncGenerator[Tool, None]:
    """The tool for ``order``, at work until the context is left; then its process is gone."""
    argv = [sys.executable, "-m", MODULES[tool_of(order)]]
    env = esp_loader.environment()
    # pyocd runs scripts it finds in its working directory; there are none in the root.
    async with child.spawn(
        argv, env=env, cwd="/", stdin=child.PIPE, stdout=child.PIPE, stderr=child.PIPE, grace_s=0.3
    ) as process:
        tool = Tool(process, limits_s or SILENCE_LIMITS_S)
        listening = cancels.beside(tool.keep_last_words(), name="last words of a flash tool")
        handing = cancels.beside(tool.hand_over(order, image), name="hand over to a flash tool")
        async with listening, handing:
            yield tool
