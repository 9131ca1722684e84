"""The faults themselves: each is done to a running part, held, and taken back; then the part has to get well by itself."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchwire.events.testing.eventually import eventually

from .lab import PATIENCE_S, Lab
from .load import cutting
from .plan import Fault, Kind

_WAL_HEADER_BYTES = 32
_DAMAGED_BYTES = 512
_PAGE_BYTES = 4096
_CLOCK_JUMP_S = 3600.0


async def done(lab: Lab, fault: Fault) -> str:
    """Does it, and returns what exactly was done when it has been taken back; the part may not be well yet.

    Raises ``AssertionError`` when the part has no process to do it to, or when nobody notices that it was killed.
    """
    return await _KINDS[fault.kind](lab, fault)


async def _killed(lab: Lab, fault: Fault) -> str:
    pid = await _there(lab, fault.target)
    os.kill(pid, signal.SIGKILL)
    await _gone(lab, fault.target, pid)
    return "kill -9"


async def _stopped(lab: Lab, fault: Fault) -> str:
    pid = await _there(lab, fault.target)
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(fault.hold_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    return f"SIGSTOP for {fault.hold_s} s"


async def _full_disk(lab: Lab, fault: Fault) -> str:
    disk = lab.disks[fault.target]
    await asyncio.to_thread(disk.fill)
    try:
        await asyncio.sleep(fault.hold_s)
    finally:
        await asyncio.to_thread(disk.make_room)
    return f"no room on its disk for {fault.hold_s} s"


async def _torn_wal(lab: Lab, fault: Fault) -> str:
    return await _damaged_while_dead(lab, fault, _tear_wal)


async def _damaged_pages(lab: Lab, fault: Fault) -> str:
    return await _damaged_while_dead(lab, fault, _damage_page)


async def _damaged_while_dead(lab: Lab, fault: Fault, damage: Callable[[Path, random.Random], str]) -> str:
    """A stopped process writes nothing, and killed while it is stopped it never runs again: so nobody restarts it too soon."""
    pid = await _there(lab, fault.target)
    os.kill(pid, signal.SIGSTOP)
    try:
        told = await asyncio.to_thread(damage, lab.rows_file(fault.target), random.Random(fault.chance))
    finally:
        os.kill(pid, signal.SIGKILL)
    await _gone(lab, fault.target, pid)
    return f"kill -9, {told}"


def _tear_wal(file: Path, chance: random.Random) -> str:
    wal = file.with_name(file.name + "-wal")
    size = wal.stat().st_size if wal.exists() else 0
    if size <= _WAL_HEADER_BYTES:
        return "no write-ahead log to tear"
    if chance.random() < 0.5:
        at = chance.randrange(size)
        os.truncate(wal, at)
        return f"its write-ahead log cut at byte {at} of {size}"
    at = chance.randrange(max(0, size - 8 * _PAGE_BYTES), size)
    _scribble(wal, at, chance)
    return f"{_DAMAGED_BYTES} bytes of its write-ahead log damaged at {at} of {size}"


def _damage_page(file: Path, chance: random.Random) -> str:
    _without_wal(file)
    size = file.stat().st_size
    if size < _PAGE_BYTES:
        return "no page to damage"
    at = chance.randrange(size // _PAGE_BYTES) * _PAGE_BYTES
    _scribble(file, at, chance)
    return f"page {at // _PAGE_BYTES} of {size // _PAGE_BYTES} damaged"


def _without_wal(file: Path) -> None:
    """Everything that is committed goes into the file itself; what lay in the write-ahead log too would hide the damage."""
    with contextlib.closing(sqlite3.connect(file, timeout=0.1)) as db:
        busy, in_log, moved = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if not busy and in_log == moved:
        os.truncate(file.with_name(file.name + "-wal"), 0)


def _scribble(file: Path, at: int, chance: random.Random) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(chance.randbytes(_DAMAGED_BYTES))


async def _clock_jump(lab: Lab, fault: Fault) -> str:
    off_s = _CLOCK_JUMP_S * (1 if fault.chance < 0.5 else -1)
    await _shimmed(lab, fault, clock_s=off_s)
    return f"its wall clock off by {off_s:+.0f} s for {fault.hold_s} s"


async def _slow_disk(lab: Lab, fault: Fault) -> str:
    await _shimmed(lab, fault, flush_s=0.5, write_s=0.02)
    return f"flushes slower by 500 ms, writes by 20 ms, for {fault.hold_s} s"


async def _shimmed(lab: Lab, fault: Fault, **how: float) -> None:
    shim = lab.shims[fault.target]
    shim.set(**how)
    try:
        await asyncio.sleep(fault.hold_s)
    finally:
        shim.set()


async def _cable_pulled(lab: Lab, fault: Fault) -> str:
    cable = lab.cables[fault.target]
    held_s = fault.hold_s if fault.chance < 0.5 else 0.0
    cable.pull()
    try:
        await asyncio.sleep(held_s)
    finally:
        cable.mend()
    return f"its connections to NATS reset, new ones refused for {held_s} s"


async def _cable_silent(lab: Lab, fault: Fault) -> str:
    cable = lab.cables[fault.target]
    forget = fault.chance < 0.5
    cable.swallow()
    try:
        await asyncio.sleep(fault.hold_s)
    finally:
        cable.mend(forget=forget)
    return f"nothing through to NATS for {fault.hold_s} s, then {'a reset' if forget else 'all of it, late'}"


async def _calls_cut(lab: Lab, fault: Fault) -> str:
    url = lab.site.observability_url if fault.target == "observability" else lab.site.documents_url
    count = await cutting.cut_calls(url, random.Random(fault.chance), for_s=fault.hold_s)
    return f"{count} calls cut in the middle"


async def _there(lab: Lab, part: str) -> int:
    """The pid of a part, once it has a process."""
    return int(await eventually(lambda: lab.pid(part) or 0, within_s=PATIENCE_S, what=f"{part} has a process"))


async def _gone(lab: Lab, part: str, pid: int) -> None:
    """Until somebody has noticed that the process is gone, which makes room for the next."""
    await eventually(lambda: lab.pid(part) != pid, within_s=PATIENCE_S, what=f"somebody notices that {part} is dead")


_KINDS: dict[Kind, Callable[[Lab, Fault], Awaitable[str]]] = {
    "killed": _killed,
    "stopped": _stopped,
    "full disk": _full_disk,
    "torn WAL": _torn_wal,
    "damaged pages": _damaged_pages,
    "clock jump": _clock_jump,
    "slow disk": _slow_disk,
    "cable pulled": _cable_pulled,
    "cable silent": _cable_silent,
    "calls cut": _calls_cut,
}
