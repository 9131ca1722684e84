"""No process that a test starts outlives the one that runs the test, whichever way that ends."""

import ast
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchwire.events import child
from benchwire.events.testing.eventually import eventually

TESTS = Path(__file__).parents[1]
STARTING = {
    *(f"subprocess.{name}" for name in ("Popen", "run", "call", "check_call", "check_output")),
    *(f"asyncio.create_subprocess_{name}" for name in ("exec", "shell")),
}

# It has the fixtures of this folder, and never ends by itself.
STAYING = """
import asyncio
import os
from pathlib import Path

from benchwire.events import child


async def test_that_stays(outside_documents: str) -> None:
    async with child.spawn(["sleep", "600"]):
        Path("here").write_text(str(os.getpid()))
        await asyncio.sleep(600)
"""


async def test_what_a_worker_started_ends_with_it_when_it_is_killed(tmp_path: Path) -> None:
    (tmp_path / "test_staying.py").write_text(STAYING)
    argv = [sys.executable, "-m", "pytest", "-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(tmp_path)]
    argv += ["-n", "1", "--max-worker-restart", "0", "-p", "no:cacheprovider", "-p", "conftest", "test_staying.py"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    own["PYTHONPATH"] = str(Path(__file__).parent)
    with (tmp_path / "said").open("wb") as said:
        async with child.spawn(argv, cwd=tmp_path, env=own, stdout=said, stderr=said) as controller:

            def worker() -> int:
                assert controller.returncode is None, (tmp_path / "said").read_text()
                return int((tmp_path / "here").read_text() or 0) if (tmp_path / "here").exists() else 0

            pid: int = await eventually(worker, within_s=60.0, what="the test to run")
            started = psutil.Process(pid).children(recursive=True)
            names = " ".join(word for one in started for word in one.cmdline())
            assert all(name in names for name in ("nats-server", "benchwire.documents", "sleep")), names
            try:
                os.kill(pid, signal.SIGKILL)
                await eventually(lambda: not any(map(_runs, started)), what=f"the end of {started}")
            finally:
                for one in filter(_runs, started):
                    one.kill()


def test_whoever_starts_a_process_binds_it_to_himself() -> None:
    """``child.spawn`` does it; where that does not serve, ``child.dying_with_owner`` is written into the call."""
    unbound = [
        f"{file.relative_to(TESTS)}:{line}"
        for file in sorted(TESTS.rglob("*.py"))
        for line in _unbound(ast.parse(file.read_text()))
    ]
    assert unbound == []


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _unbound(tree: ast.AST) -> Iterator[str]:
    """Where a process is started, or what starts one is handed on, without the owner's name in the command."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "subprocess":
            yield f"{node.lineno} imports from subprocess"  # which hides from the eye below what starts a process
        elif isinstance(node, ast.Call):
            words = [node.func, *node.args]
            for word, command in zip(words, [*words[1:], None], strict=True):
                if isinstance(word, ast.Attribute) and ast.unparse(word) in STARTING and not _is_bound(command):
                    yield f"{node.lineno} {ast.unparse(word)}"


def _is_bound(command: ast.expr | None) -> bool:
    inner = command.value if isinstance(command, ast.Starred) else command
    return isinstance(inner, ast.Call) and ast.unparse(inner.func) == "child.dying_with_owner"
