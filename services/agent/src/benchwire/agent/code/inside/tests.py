"""Runs the tests of one module under coverage: ``tests.py <module> <test file>``, both in the current directory.

What happens is told as it happens, each time in one line of JSON on what was the standard output: whatever the tests print goes to the standard
error instead. What was told cannot be taken back. But the code under test runs in this very process, so a line proves nothing by itself.
"""

import errno
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import coverage
import pytest

MAX_TEXT = 6000
_NO_NETWORK = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)


class Teller:
    """A pytest plugin that tells what pytest finds out."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._pid = os.getpid()
        self._failed: dict[str, str] = {}
        self._skipped: dict[str, str] = {}
        self._networked: set[str] = set()

    def tell(self, what: str, **fields: Any) -> None:
        """Writes one line; not from a process that a test forked."""
        if os.getpid() != self._pid:
            return
        # Half of a surrogate pair is no Unicode, and nobody could read the line.
        left = json.dumps({"what": what, **fields}, ensure_ascii=False).encode(errors="replace") + b"\n"
        while left:
            left = left[os.write(self._file, left) :]

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        """An exception that is a failure."""
        if call.excinfo is not None and _wanted_network(call.excinfo.value):
            self._networked.add(node.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        """A file that was looked at for tests."""
        if report.failed:
            text, wanted = report.longreprtext[-MAX_TEXT:], report.nodeid in self._networked
            self.tell("broken", id=report.nodeid, text=text, network=wanted)

    def pytest_collection_finish(self, session: Any) -> None:
        """All tests are known."""
        self.tell("collected", ids=[item.nodeid for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self.tell("began", id=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test's set-up, its call or its tear-down is over. A test that failed as expected counts as skipped."""
        if report.failed:
            printed = f"\nIt printed:\n{report.capstdout[-MAX_TEXT // 4 :]}" if report.capstdout else ""
            self._failed[report.nodeid] = report.longreprtext[-MAX_TEXT:] + printed
        elif report.skipped:
            self._skipped[report.nodeid] = _why_skipped(report)
        if report.when == "teardown":
            self._ended(report.nodeid)

    def _ended(self, test: str) -> None:
        if test in self._failed:
            self.tell("ended", id=test, outcome="failed", text=self._failed[test], network=test in self._networked)
        elif test in self._skipped:
            self.tell("ended", id=test, outcome="skipped", text=self._skipped[test])
        else:
            self.tell("ended", id=test, outcome="passed")


def _why_skipped(report: Any) -> str:
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


def _wanted_network(error: BaseException | None) -> bool:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in _NO_NETWORK):
            return True
        reason = getattr(error, "reason", None)  # as urllib wraps it
        error = reason if isinstance(reason, BaseException) else error.__cause__ or error.__context__
    return False


def main() -> None:
    """Ends with pytest's exit code."""
    module, tests = sys.argv[1:]
    teller = Teller(os.dup(1))  # which nothing that is started from here inherits
    os.dup2(2, 1)
    path = str(Path(module).resolve())
    measured = coverage.Coverage(data_file=None, include=[path], config_file=False, messages=False)
    measured.start()
    code = pytest.main(
        [
            "--disable-plugin-autoload", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-c", os.devnull, "--rootdir", ".",
            "--import-mode", "prepend", "-o", f"python_files={tests}", "--tb", "short", "-q", "--no-header", "--no-summary", tests,
        ],
        plugins=[teller],
    )  # fmt: skip
    measured.stop()
    teller.tell("covered", lines=sorted(measured.get_data().lines(path) or []))
    teller.tell("end", code=int(code))
    sys.stderr.flush()
    os._exit(int(code))  # threads that a test left behind are not waited for


if __name__ == "__main__":
    main()
