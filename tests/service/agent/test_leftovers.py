import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchwire.agent.sandbox import WORKDIR, Kind, Sandbox, sweep
from benchwire.events import child


def test_what_a_killed_runner_left_is_ended_by_the_next_one_and_nothing_of_another_data_directory(
    tmp_path: Path,
) -> None:
    sandbox = Sandbox(kind=Kind.LIMITS)
    mine, others = tmp_path / "mine" / "builds" / "one", tmp_path / "mine-too" / "builds" / "one"
    left = [
        subprocess.Popen(
            child.dying_with_owner(["sleep", "600"]), env=dict(sandbox.environment(place)), start_new_session=True
        )
        for place in (mine, others)
    ]
    try:
        # A process that becomes another one has no environment for a moment.
        wait_until(lambda: all(Path(f"/proc/{one.pid}/comm").read_text() == "sleep\n" for one in left))
        wait_until(lambda: all(Path(f"/proc/{one.pid}/environ").read_bytes() for one in left))
        sweep(WORKDIR, f"{tmp_path / 'mine'}/")
        assert left[0].wait(timeout=30) == -9
        assert left[1].poll() is None
    finally:
        for one in left:
            one.kill()
            one.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
