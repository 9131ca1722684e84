"""What a command and all that it started use, from /proc. All of this blocks, for well under a millisecond as a rule."""

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import psutil

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGESIZE")

_PSS = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)
_SENT = re.compile(rb"^scm_fds:\s+[1-9]", re.MULTILINE)  # Linux since 5.6
_DELETED = re.compile(
    rb"^(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) \S+ \S+ (?P<device>\S+) (?P<inode>[1-9]\d*) +/(?!memfd:|SYSV|dev/zero).* \(deleted\)$",
    re.MULTILINE,
)


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """Of all processes together; threads count. ``cpu_s`` includes those that ended. Shared pages count in ``memory_bytes`` for each."""

    pids: Sequence[int]
    processes: int
    cpu_s: float
    memory_bytes: int


def below(pid: int) -> list[int]:
    """The process and all that descend from it. In a pid namespace that is all there is: who lost its parent belongs to the first."""
    found, ahead = [], [pid]
    while ahead:
        one = ahead.pop()
        found.append(one)
        ahead += children(one)
    return found


def children(pid: int) -> list[int]:
    """Those that it started, or that were handed to it; none when it is gone."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names are all that is wanted, ten times a second
            found += _children_of_a_thread(pid, thread)
    return found


def _children_of_a_thread(pid: int, thread: str) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split()]
    except FileNotFoundError:
        if not Path("/proc/self/task", str(os.getpid()), "children").exists() and thread == str(pid):  # an odd kernel
            return [one.pid for one in psutil.Process(pid).children()]
        return []


def use(pids: Sequence[int]) -> Use:
    """What these use, without those that are gone meanwhile."""
    processes = ticks = pages = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            # After the name, which may hold anything: state is the first field, and so on (proc(5) counts from 3).
            said = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            ticks += sum(map(int, said[11:15]))
            processes += int(said[17])
            pages += int(said[21])
    return Use(pids=pids, processes=processes, cpu_s=ticks / TICKS, memory_bytes=pages * PAGE)


def proportional_bytes(pids: Sequence[int]) -> int:
    """Their memory, with each shared page counted once. Slower: for when ``Use.memory_bytes`` looks like too much."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
            total += int(found[1]) * 1024 if found else 0
    return total


class Hidden(msgspec.Struct, frozen=True, kw_only=True):
    """What processes keep that no directory shows: ``disk_bytes`` in files without a name, which are open or mapped.

    ``sockets`` is how many they have, whose buffers are nobody's memory; ``has_sent`` whether one of them holds open files that were
    sent to it and not taken yet, which can neither be seen nor counted.
    """

    disk_bytes: int
    sockets: int
    has_sent: bool


def hidden(pids: Sequence[int]) -> Hidden:
    """Of these together."""
    found: dict[tuple[int, int], int] = {}
    sockets: set[int] = set()
    has_sent = False
    for pid in pids:
        for number, file in _open_files(pid):
            if stat.S_ISREG(file.st_mode) and not file.st_nlink:
                found[file.st_dev, file.st_ino] = file.st_blocks * 512
            elif stat.S_ISSOCK(file.st_mode):
                sockets.add(file.st_ino)
                has_sent = has_sent or _holds_files(pid, number)
    for pid in pids:
        for key, length in _mapped(pid):
            found[key] = max(found.get(key, 0), length)
    return Hidden(disk_bytes=sum(found.values()), sockets=len(sockets), has_sent=has_sent)


def _open_files(pid: int) -> Iterator[tuple[str, os.stat_result]]:
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - as above
            with contextlib.suppress(OSError):
                yield number, os.stat(f"/proc/{pid}/fd/{number}")  # noqa: PTH116 - as above


def _holds_files(pid: int, number: str) -> bool:
    with contextlib.suppress(OSError):
        return _SENT.search(Path(f"/proc/{pid}/fdinfo/{number}").read_bytes()) is not None
    return False


def _mapped(pid: int) -> Iterator[tuple[tuple[int, int], int]]:
    with contextlib.suppress(OSError):
        for row in _DELETED.finditer(Path(f"/proc/{pid}/maps").read_bytes()):
            major, minor = (int(one, 16) for one in row["device"].split(b":"))
            yield (os.makedev(major, minor), int(row["inode"])), int(row["end"], 16) - int(row["start"], 16)


def tmpfs_bytes(pid: int, folders: Sequence[str]) -> int:
    """What the small file systems in memory hold that this process sees; 0 when it is gone."""
    total = 0
    for folder in folders:
        with contextlib.suppress(OSError):
            seen = f"/proc/{pid}/root{folder}"
            if os.stat(seen).st_dev == os.stat(folder).st_dev:  # noqa: PTH116 - as above
                continue  # the host's own: bubblewrap has not made its namespace yet
            found = os.statvfs(seen)
            total += (found.f_blocks - found.f_bfree) * found.f_frsize + (found.f_files - found.f_ffree) * 1024
    return total
