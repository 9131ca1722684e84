"""A board that is added to a lab that runs, flashed and removed, by a person at a shell: real commands, a real lab."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchwire.boards import rp2040, uf2
from benchwire.events import child

WITHIN_S = 60.0


@pytest.fixture
def benchwire(lab_data: Path, quiet_environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command beside the lab."""

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            child.dying_with_owner([sys.executable, "-m", "benchwire.deploy", *argv]),
            env={**quiet_environment, "BENCHWIRE_DATA": str(lab_data)}, text=True, capture_output=True, timeout=90, check=False,
        )  # fmt: skip

    return run


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + WITHIN_S
    while not (result := condition()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return result


def test_a_board_is_added_flashed_killed_and_removed_while_the_lab_runs(
    benchwire: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    def rows(*argv: str) -> dict[str, dict[str, Any]]:
        listed = [json.loads(line) for line in benchwire(*argv, "--json").stdout.splitlines()]
        return {row.get("name") or row["device_id"]: row for row in listed}

    added = benchwire("board", "add", "--virtual", "rp2040", "--name", "pico", "--label", "rack=7")
    assert added.returncode == 0, added.stderr
    until(lambda: "pico" in rows("devices", "--label", "rack=7"))

    stage = bytes(rp2040.BOOT2_BYTES - 4)
    image = stage + rp2040.crc32(stage).to_bytes(4, "little") + b"program" * 1000
    file = tmp_path / "app.uf2"
    file.write_bytes(uf2.packed([(rp2040.FLASH_START, image)], family=rp2040.FAMILY, sector_bytes=rp2040.SECTOR_BYTES))
    flashed = benchwire("flash", str(file), "--device", "pico")
    assert flashed.returncode == 0, flashed.stderr
    board = rows("board", "list")["pico"]
    assert Path(board["control"]).parent.joinpath("pico.tty").is_symlink()

    os.kill(board["pid"], signal.SIGKILL)
    again = until(lambda: (now := rows("board", "list")["pico"]).get("status") and now["pid"] != board["pid"] and now)
    assert again["status"]["flash_sha256"] == board["status"]["flash_sha256"]

    refused = benchwire("board", "remove", "stm32f405-1")
    assert refused.returncode == 1
    assert "plugged in by `benchwire up --virtual`" in refused.stderr
    assert benchwire("board", "remove", "pico").returncode == 0
    assert "pico" not in rows("board", "list")
    until(lambda: "pico" not in rows("devices"))
