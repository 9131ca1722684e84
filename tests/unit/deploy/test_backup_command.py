import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchwire.deploy.backup import command
from benchwire.events import child


def test_the_oldest_backups_of_a_directory_go_and_what_killed_ones_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"benchwire-2026011{day}T030000Z.tar" for day in range(5)]
    gone = subprocess.run(
        child.dying_with_owner([sys.executable, "-c", "import os; print(os.getpid())"]),
        capture_output=True,
        text=True,
        check=True,
    )
    being_made = f".benchwire-20260115T030000Z.tar.{os.getpid()}"
    for name in [*names, "other.tar", being_made, f".benchwire-20260114T030000Z.tar.{gone.stdout.strip()}"]:
        (tmp_path / name).touch()
    command._prune(tmp_path, 2)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*names[3:], "other.tar", being_made])
    assert capsys.readouterr().err.count("removed") == 3


def test_a_file_that_is_no_backup_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "lab.tar"
    file.write_text("no backup")
    argv = [sys.executable, "-m", "benchwire.deploy", "restore", str(file), "--data", str(tmp_path / "data")]
    done = subprocess.run(child.dying_with_owner(argv), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"benchwire restore: {file} is not a whole backup: ")
    assert done.stderr.count("\n") == 1
