"""What the lab costs on top of the tool: the same image through the flash agent and through the bare esptool, turn by turn.

    python -m benchmarks.flashing [--mib 1] [--rounds 5]

Two virtual ESP32-C3 of the same kind on this machine: the lab's flash agent has one, esptool's command line the other. Random bytes, which do not
compress. A job's time is from the request to the verified end, with the queue, the tool's start, the reset and the events.
"""

import argparse
import contextlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchwire.boards.virtual import hand
from benchwire.boards.virtual.registry import BoardRecord, read_records
from benchwire.client import Image, Lab
from benchwire.deploy import lab_file

ADDRESS = 0x10000
SMALL_BYTES = 4096
START_S = 60.0


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mib", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bw-") as name, running(Path(name)) as (lab, bare):
        agent = next(one for one in psutil.process_iter(["cmdline"]) if is_agent(one, Path(name)))
        for words, size in ((f"{options.mib:g} MiB", int(options.mib * 1024 * 1024)), ("4 KiB", SMALL_BYTES)):
            compare(lab, bare, agent, words, size, options.rounds, Path(name))


def compare(  # noqa: PLR0917 - a scene
    lab: Lab, bare: BoardRecord, agent: psutil.Process, words: str, size: int, rounds: int, place: Path
) -> None:
    """One size: medians of both ways, their ratio, and what the job's process held."""
    through, alone, held = [], [], []
    for number in range(rounds):
        image = place / "image.bin"
        image.write_bytes(b"\x00" + random.Random(number).randbytes(size - 1))  # noqa: S311 - not a secret
        alone.append(by_hand(bare, image))
        with resident(agent) as most:
            begun = time.perf_counter()
            job = lab.flash([Image(image, ADDRESS)], device_id="esp32c3-1")
            through.append(time.perf_counter() - begun)
        held.append(most[0])
        assert job.total_bytes == size
    ours, theirs = statistics.median(through), statistics.median(alone)
    print(
        f"{words}: agent {ours:.2f} s ({min(through):.2f} to {max(through):.2f}), esptool {theirs:.2f} s ({min(alone):.2f} to {max(alone):.2f})"
    )
    print(
        f"    ratio {ours / theirs:.2f}, overhead {1000 * (ours - theirs):.0f} ms a job, the job's process holds {max(held) / 1e6:.0f} MB"
    )


def by_hand(board: BoardRecord, image: Path) -> float:
    """Seconds that the untouched command line takes."""
    hand.told(board.control, do="reset", mode="download")
    argv = [sys.executable, "-m", "esptool", "--chip", "esp32c3", "--port", board.tty]
    argv += ["--before", "no-reset", "--after", "no-reset", "write-flash", hex(ADDRESS), str(image)]
    begun = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return time.perf_counter() - begun


@contextlib.contextmanager
def resident(agent: psutil.Process) -> Iterator[list[int]]:
    """The most that one of the agent's tools held meanwhile, in bytes."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            for tool in agent.children():
                with contextlib.suppress(psutil.Error):
                    most[0] = max(most[0], tool.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield most
    finally:
        over.set()
        looking.join()


def is_agent(process: psutil.Process, place: Path) -> bool:
    """Whether that is the flash agent of this scene."""
    with contextlib.suppress(psutil.Error):
        return "benchwire.flash_agent" in (process.info["cmdline"] or []) and process.environ().get(
            "BENCHWIRE_DATA"
        ) == str(place / "data")
    return False


@contextlib.contextmanager
def running(place: Path) -> Iterator[tuple[Lab, BoardRecord]]:
    """A lab with one board, and a board that it does not know."""
    ports = ("--observability-port", "0", "--documents-port", "0", "--nats-port", "0")
    up = [sys.executable, "-m", "benchwire.deploy", "up", "--data", str(place / "data"), "--virtual", "esp32c3", *ports]
    beside = [sys.executable, "-m", "benchwire.boards.virtual", "esp32c3", "--name", "bare", "--run-dir", str(place)]
    with started(up), started(beside):
        end = time.monotonic() + START_S
        while (here := lab_file.read(place / "data")) is None or not (boards := read_records(place)):
            assert time.monotonic() < end, "the lab does not come up"
            time.sleep(0.1)
        with Lab(here.observability_url) as lab:
            while not lab.devices():
                assert time.monotonic() < end, "the board is not found"
                time.sleep(0.1)
            yield lab, boards[0]


@contextlib.contextmanager
def started(argv: list[str]) -> Iterator[None]:
    """A process for the time of the context."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
