"""What was told inside the sandbox, read and judged. Pure.

The code under test runs in the process that tells, so what it tells is believed only as far as it fits together: each test that was found has
one end, nothing comes after the end, and the process ended as pytest said it would. Code that sets out to lie can still do so. It would have to
do it while its functions are hollow, too: see ``measure``.
"""

import signal
from collections.abc import Sequence

import msgspec

from benchwire.agent.code.score import Counts

MAX_SHOWN_TESTS = 20
MAX_TEXT_CHARS = 8000
NO_TESTS = 5  # pytest's exit code
LATE = "it ran longer than"  # as the sandbox says it


class Broken(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", tag="broken"):
    """The tests could not even be found, as when a file cannot be imported."""

    id: str
    text: str
    network: bool = False


class Collected(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", tag="collected"):
    """The tests that there are."""

    ids: list[str]


class Began(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", tag="began"):
    """A test runs."""

    id: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", tag="ended"):
    """How one test ended: ``outcome`` is ``passed``, ``failed`` or ``skipped``. ``network``: it failed because it wanted to go there."""

    id: str
    outcome: str
    text: str = ""
    network: bool = False


class Covered(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", tag="covered"):
    """The lines of the module that ran."""

    lines: list[int]


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="what", tag="end"):
    """pytest is done; its exit code."""

    code: int


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How the tests of a module went. ``reason`` is why they do not pass as a whole; it is None when they do.

    ``outcome`` is as in ``NodeTested``. Each test that was found and did not pass is in ``failures``, also one that was skipped or that never
    came to its end.
    """

    outcome: str
    reason: str | None
    passed: Sequence[str] = ()
    failures: Sequence[Ended] = ()
    lines: Sequence[int] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.passed) + len(self.failures)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool found at a line of a file."""

    file: str
    line: int
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.code}: {self.message}"


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to a source: see ``inside/source.py``. ``missing`` are the lines of statements that did not run,
    ``meddling`` is where it reaches for what judges it.

    ``problem`` is why it could not be looked at; then there is nothing else.
    """

    statements: int = 0
    missing: list[int] = []
    assertions: int = 0
    meddling: list[str] = []
    hollow: str | None = None
    lint: list[Finding] = []
    types: list[Finding] = []
    problem: str | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found out about one module. ``proving`` is how many tests fail without its code; None when that was not tried."""

    tests: Ran
    looked: Looked
    proving: int | None
    duration_s: float

    @property
    def counts(self) -> Counts:
        """It in numbers."""
        return Counts(
            tests=self.tests.count, tests_passed=len(self.tests.passed), statements=self.looked.statements,
            statements_run=self.looked.statements - len(self.looked.missing), lint_findings=len(self.looked.lint),
            type_errors=len(self.looked.types),
        )  # fmt: skip


class _Untold(ValueError):
    """What was told does not fit together; the sentence says where."""


class _Told(msgspec.Struct, kw_only=True):
    ids: dict[str, None] = {}  # a set in their order
    ended: dict[str, Ended] = {}
    broken: list[Broken] = []
    running: str | None = None
    lines: list[int] = []
    end: int | None = None


_LINE = msgspec.json.Decoder(Broken | Collected | Began | Ended | Covered | End)


def read(told: str, *, returncode: int, broken: str | None, stderr: str) -> Ran:
    """What became of the tests. ``broken`` says which limit of the sandbox ended them."""
    found = _Told()
    try:
        _fold(found, told, cut_off=broken is not None)
        _fits(found, returncode)
    except _Untold as error:
        if broken is None:
            return Ran(outcome="crashed", reason=f"what the tests told cannot be believed: {error}")
    ends = [found.ended.get(one) or _unended(one) for one in found.ids]
    passed = [one.id for one in ends if one.outcome == "passed"]
    failures = [one for one in ends if one.outcome != "passed"]
    outcome, reason = _judged(found, failures, returncode, broken, stderr)
    return Ran(outcome=outcome, reason=reason, passed=passed, failures=failures, lines=found.lines)


def _fold(found: _Told, told: str, *, cut_off: bool) -> None:
    lines = told.removesuffix("\n").split("\n") if told else []
    for number, line in enumerate(lines):
        if found.end is not None:
            raise _Untold("it goes on after its end")
        try:
            _take(found, _LINE.decode(line))
        except msgspec.DecodeError as error:
            if cut_off and number == len(lines) - 1:
                break
            raise _Untold(f"line {number + 1} is none of its own ({error})") from error


def _take(found: _Told, line: Broken | Collected | Began | Ended | Covered | End) -> None:
    match line:
        case Collected():
            if found.ids:
                raise _Untold("the tests were found twice")
            found.ids = dict.fromkeys(line.ids)
        case Began():
            found.running = line.id
        case Ended():
            if line.id not in found.ids or line.id in found.ended:
                raise _Untold(f"{line.id} ended, but was not running")
            found.ended[line.id] = line
            found.running = None
        case Broken():
            found.broken.append(line)
        case Covered():
            found.lines = line.lines
        case End():
            found.end = line.code


def _fits(found: _Told, returncode: int) -> None:
    if found.end is None:
        return
    if found.end != returncode:
        raise _Untold(f"they ended with {returncode}, but pytest with {found.end}")
    failed = [one for one in found.ended.values() if one.outcome == "failed"]
    if found.end == 0 and (failed or found.broken or len(found.ended) != len(found.ids)):
        raise _Untold("pytest was content, but not every test ended well")


def _judged(
    found: _Told, failures: list[Ended], returncode: int, broken: str | None, stderr: str
) -> tuple[str, str | None]:
    during = f" in {found.running}" if found.running else "" if found.ids else " while the tests were being imported"
    if broken is not None:
        return "timeout" if broken.startswith(LATE) else "crashed", f"the tests were ended{during}: {broken}"
    if found.broken:
        texts = "\n".join(f"{one.id}:\n{one.text}{_network(one)}" for one in found.broken)
        return "failed", f"the tests cannot be imported\n{texts}"
    said = stderr.strip()[-MAX_TEXT_CHARS:]
    if found.end is None:
        ended = f"the process of the tests ended by itself{during}, with {_exit(returncode)}"
        return "crashed", f"{ended}\n{said}".strip()
    if found.end == NO_TESTS:
        return "failed", "there is no test in the test file (pytest finds functions whose names begin with test_)"
    if failures:
        return "failed", f"{len(failures)} of {len(found.ids)} tests did not pass\n\n{_listed(failures)}"
    return (
        ("passed", None) if found.end == 0 else ("crashed", f"pytest ended with exit code {found.end}\n{said}".strip())
    )


def _exit(returncode: int) -> str:
    """It, or the signal that it stands for: as bubblewrap says it, or as Python does."""
    try:
        return signal.Signals(-returncode if returncode < 0 else returncode - 128).name
    except ValueError:
        return f"exit code {returncode}"


def _listed(failures: Sequence[Ended]) -> str:
    shown = [f"{one.id} {one.outcome}:\n{one.text.strip()}{_network(one)}" for one in failures[:MAX_SHOWN_TESTS]]
    left = len(failures) - len(shown)
    return "\n\n".join([*shown, *([f"... and {left} more"] if left else [])])


def _network(one: Ended | Broken) -> str:
    return "\n(It tried to use the network; there is none here.)" if one.network else ""


def _unended(test: str) -> Ended:
    return Ended(id=test, outcome="not run", text="the tests ended before it did")
