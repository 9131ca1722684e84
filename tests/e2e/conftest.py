"""Fixtures only; nothing imports from here."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchwire.deploy import lab_file
from benchwire.events import child

_START_S = 90.0
_ECHO = """
#include "board.h"

int main(void) {
    board_init();
    uart_puts("READY\\r\\n");
    uart_puts("heard: ");
    for (;;) {
        int c = uart_getc_nonblocking();
        if (c < 0) continue;
        uart_putc((char)c);
        if (c == '\\n') uart_puts("heard: ");
    }
}
"""


@pytest.fixture
def lab_dir() -> Iterator[Path]:
    """A directory with a short path: the boards' unix sockets are in it."""
    directory = Path(tempfile.mkdtemp(prefix="bw-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def echo_source() -> str:
    """Firmware that prints a line, and then says again what it is told."""
    return _ECHO


@pytest.fixture(scope="session")
def quiet_environment() -> dict[str, str]:
    """This environment without what would change the lab: a model, other addresses."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BENCHWIRE_", "NATS_"))
    }


@pytest.fixture(scope="session")
def lab_data(tmp_path_factory: pytest.TempPathFactory, quiet_environment: dict[str, str]) -> Iterator[Path]:
    """The data directory of a lab that runs, started as a user would: one virtual STM32, the scripted model, free ports."""
    data = tmp_path_factory.mktemp("lab") / "data"
    ports = ("--observability-port", "0", "--documents-port", "0", "--nats-port", "0")
    argv = [
        sys.executable,
        "-m",
        "benchwire.deploy",
        "up",
        "--data",
        str(data),
        "--host",
        "bench",
        "--virtual",
        "stm32f405",
        *ports,
    ]
    with subprocess.Popen(child.dying_with_owner(argv), env=quiet_environment, stdout=subprocess.DEVNULL) as up:
        try:
            end = time.monotonic() + _START_S
            while lab_file.read(data) is None:
                assert up.poll() is None, "the lab did not start"
                assert time.monotonic() < end, "the lab is not up in time"
                time.sleep(0.1)
            yield data
        finally:
            up.terminate()
            assert up.wait(15) == 0
