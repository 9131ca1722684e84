"""Asks boards what they are: each of which nobody said it, once per plugging, and any other when somebody wants to know."""

import asyncio
import contextlib
import logging
import sys
from datetime import UTC, datetime

import msgspec

from benchwire.boards import profile as profiles
from benchwire.events import child
from benchwire.events.device import DeviceIdentified
from benchwire.events.log import Log, LogUnavailable
from benchwire.flash_agent import bench
from benchwire.flash_agent.errors import FlashError
from benchwire.flash_agent.inventory import Board, Inventory
from benchwire.flash_agent.probes import Device, known_of
from benchwire.flash_agent.tools import drivers, esp_loader
from benchwire.flash_agent.tools.probe_protocol import Answer, AnyIdentifyOrder, AskThroughPort, AskThroughProbe
from benchwire.flash_agent.writing import Refusal

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "benchwire.flash_agent.tools.identify_worker")
ANSWER_TIMEOUT_S = 45.0
AT_ONCE = 4
BUSY_AGAIN_S = 2.0
TELL_AGAIN_S = 1.0


class Identifying:
    """``automatic`` says whether boards are asked that nobody asked about."""

    def __init__(self, log_: Log, host: str, inventory: Inventory, refusal: Refusal, *, automatic: bool) -> None:
        self._log = log_
        self._host = host
        self._inventory = inventory
        self._refusal = refusal
        self._automatic = automatic
        self._few = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Asks what is plugged in, as long as that is wanted, until cancelled."""
        if not self._automatic:
            return
        begun: set[Board] = set()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._inventory.plugged.clear()
                there = set(self._inventory.boards())
                for board in there - begun:
                    if board.identified is None and is_wanted(board.found):
                        tasks.create_task(self._once(board), name=f"identify {board.device.name}")
                begun = there
                await self._inventory.plugged.wait()

    async def _once(self, board: Board) -> None:
        """Asks when nobody needs the board: a job, or a lease, goes first."""
        name = board.device.name
        while not board.gone.is_set() and board.identified is None:
            async with self._few:
                if await self._refusal(name) is None and not board.turn.locked():
                    await self.identify(board)
                    return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BUSY_AGAIN_S):
                    await board.gone.wait()

    async def identify(self, board: Board) -> DeviceIdentified:
        """Asks now. The board has to be free."""
        async with board.turn:
            answer = await _answer_of(board)
            fact = fact_of(self._host, board.found, answer, datetime.now(UTC))
            board.learn(fact)
        said = fact.problem or f"{fact.chip}, {fact.profile or 'no profile of its own'}"
        log.log(logging.WARNING if fact.problem else logging.INFO, "%s was asked what it is: %s", fact.device, said)
        while not board.gone.is_set():
            try:
                await self._log.append(fact)
                break
            except LogUnavailable:
                await asyncio.sleep(TELL_AGAIN_S)
        return fact


def is_wanted(device: Device) -> bool:
    """Whether a board is to be asked by itself: a real one on USB of which nobody said what it is, and that can answer."""
    on_usb = device.vid is not None or device.driver == "pyocd"
    return on_usb and device.profile is None and not device.virtual and order_for(device) is not None


def order_for(device: Device) -> AnyIdentifyOrder | None:
    """How a board can be asked; None when it cannot."""
    # At a port that a person configured without more, there may be an ESP; at others, the USB id has said what there is.
    is_unknown = device.driver is None and device.profile is None
    may_be_esp = device.driver == "esptool" or (is_unknown and device.configured and device.vid is None)
    if may_be_esp and device.port is not None:
        return AskThroughPort(port=device.port, before=drivers.esptool_before(device))
    if device.driver == "pyocd" and device.probe is not None:
        return AskThroughProbe(probe=device.probe)
    return None


async def _answer_of(board: Board) -> Answer:
    order = order_for(board.device)
    if order is None:
        return Answer(problem="nobody knows how to ask this kind of board what it is")
    try:
        if isinstance(order, AskThroughProbe):
            return await asked(order)
        async with bench.in_loader(board, goes_back=lambda: True):
            return await asked(order)
    except FlashError as error:
        return Answer(problem=str(error))


async def asked(order: AnyIdentifyOrder, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Answer:
    """The answer of the board, or the problem."""
    try:
        async with (
            asyncio.timeout(timeout_s),
            child.spawn(
                COMMAND, env=esp_loader.environment(), cwd="/", stdin=child.PIPE, stdout=child.PIPE, grace_s=0.3
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.close()
            said = await process.stdout.readline()
        return msgspec.json.decode(said, type=Answer)
    except TimeoutError:
        return Answer(problem=f"the chip gave no answer within {timeout_s:g} s")
    except (OSError, ValueError) as error:  # ValueError: an answer that is none
        return Answer(problem=f"the chip could not be asked: {error}")


def fact_of(host: str, device: Device, answer: Answer, now: datetime) -> DeviceIdentified:
    """What the log says of an answer. Pure."""
    return DeviceIdentified(
        timestamp=now,
        host=host,
        device=device.name,
        chip=answer.chip,
        profile=answer.profiles[0] if len(answer.profiles) == 1 else None,
        serial_number=answer.serial_number,
        flash_bytes=answer.flash_bytes,
        problem=answer.problem or _contradiction(known_of(device.profile), answer),
    )


def _contradiction(said: profiles.Profile | None, answer: Answer) -> str | None:
    if said is None or said.board in answer.profiles:
        return None
    return f"configured as {said.name}, but the chip says {answer.chip}"
