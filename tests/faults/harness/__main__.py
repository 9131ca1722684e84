"""`python -m tests.faults.harness`: breaks a lab in many ways, and says what came of it.

Exit code 0 when every invariant held, 1 when not. The whole run follows from its seed, which is printed.
"""

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchwire.events import child

from .disk import OWN_MOUNTS
from .plan import TARGETS
from .run import Wanted, run

_NAME = "tests.faults.harness"
_HERE = Path(__file__).resolve().parents[3]


def main() -> int:
    """The command."""
    asked = _arguments()
    _with_own_mounts()
    again = f"python -m {_NAME} --seed {asked.seed} --faults {asked.faults} --hold {asked.hold:g} --pace {asked.pace:g}"
    again += "".join(f" --only '{one}'" for one in asked.only or [])
    wanted = Wanted(
        seed=asked.seed, faults=asked.faults, hold_s=asked.hold, pace=asked.pace, only=asked.only or [], again=again
    )
    _tell(f"seed {asked.seed}; again: {again}")
    directory = Path(tempfile.mkdtemp(prefix="bwf-"))  # a short path: the boards' unix sockets are in it
    directory.chmod(0o755)  # what runs in a sandbox is somebody else
    try:
        report = asyncio.run(run(wanted, directory, _tell))
    except BaseException:
        _tell(f"broken off; what is left of it is in {directory}; again: {again}")
        raise
    page = report.written(asked.report)
    _tell(report.text() if not report.holds else "\n".join(report.text().split("\n## Recovery")[0].splitlines()))
    _tell(f"report: {page}")
    if report.holds:
        shutil.rmtree(directory, ignore_errors=True)
        return 0
    _tell(f"the lab's files are in {directory}; again: {again}")
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {_NAME}", description=__doc__)
    seed = int(os.environ.get("BENCHWIRE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    parser.add_argument("--seed", type=int, default=seed, help="what happens follows from it (BENCHWIRE_SEED)")
    faults = int(os.environ.get("BENCHWIRE_FAULTS", "200"))
    parser.add_argument("--faults", type=int, default=faults, help="how many (BENCHWIRE_FAULTS)")
    parser.add_argument(
        "--hold", type=float, default=5.0, help="seconds that a fault lasts at most; a stop lasts twice as long"
    )
    parser.add_argument("--pace", type=float, default=1.0, help="stretches the pauses of the load")
    parser.add_argument("--only", action="append", choices=list(TARGETS), help="this kind of fault; repeatable")
    parser.add_argument("--report", type=Path, default=_HERE / ".data", help="the folder for the report")
    return parser.parse_args()


def _with_own_mounts() -> None:
    """Goes on in a mount namespace, if this machine gives one: whatever is mounted in it ends with it, also after a kill -9."""
    if os.geteuid() != 0 or OWN_MOUNTS in os.environ or shutil.which("unshare") is None:
        return
    into = ["unshare", "--mount", "--propagation", "private"]
    tried = [*into, "mount", "-t", "tmpfs", "none", "/mnt"]
    if subprocess.run(child.dying_with_owner(tried), capture_output=True, check=False).returncode == 0:
        os.environ[OWN_MOUNTS] = "1"
        os.execvp(into[0], [*into, sys.executable, "-m", _NAME, *sys.argv[1:]])


def _tell(line: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
