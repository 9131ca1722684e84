"""Whether a module that was measured is good enough, why not, and all of it in words. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from benchwire.agent.code import score
from benchwire.agent.code.report import Finding, Measured

MAX_SHOWN = 40  # findings


class Rejected(msgspec.Struct, frozen=True):
    """The try failed at ``stage`` (``generate``, ``test`` or ``quality``); ``feedback`` is for the author."""

    stage: str
    feedback: str


def rejected(measured: Measured, *, target: float, tests_before: int) -> Rejected | None:
    """Why it is not good enough; None when it is. ``tests_before`` is the most tests that it had.

    An author who is told that a test fails may correct the test, but not by taking it away.
    """
    if measured.tests.reason is not None:
        return Rejected("test", measured.tests.reason)
    if measured.looked.problem is not None:
        return Rejected("quality", f"Its source cannot be looked at: {measured.looked.problem}")
    if (doubt := _doubt(measured, tests_before)) is not None:
        return Rejected("test", doubt)
    quality = score.quality(score.measures(measured.counts))
    return None if quality >= target else Rejected("quality", _too_low(measured, quality, target))


def _doubt(measured: Measured, tests_before: int) -> str | None:
    """Why tests that pass prove nothing, or less than they did."""
    looked, count = measured.looked, measured.tests.count
    if looked.meddling:
        return "\n".join(["It reaches for what judges it, so nothing is proved. Do without:", *looked.meddling])
    if count < tests_before:
        return (
            f"There are {count} tests; before, there were {tests_before}. A test that is wrong may be corrected, but what was tested has to stay "
            "tested: bring back what is missing."
        )
    if looked.assertions == 0:
        return "The tests assert nothing, so they prove nothing."
    if measured.proving == 0:
        return (
            "All tests also pass when every function of the module only raises NotImplementedError, so they prove nothing. Test what the "
            "functions return and do."
        )
    return None


def report(measured: Measured, target: float, rejected: Rejected | None) -> str:
    """What the tools said, for whoever reads the event; ``rejected`` is what came of it."""
    proving = measured.proving
    lines = [f"{len(measured.tests.passed)} of {measured.tests.count} tests passed"]
    if rejected is not None and rejected.stage == "test":
        lines.append(rejected.feedback)
    if measured.looked.problem is not None:
        lines.append(f"The source could not be looked at: {measured.looked.problem}")
    if proving is not None:
        lines.append(f"{proving} of {measured.tests.count} tests fail when the functions of the module only raise")
    quality = score.quality(score.measures(measured.counts))
    return "\n".join([*lines, *_wanting(measured), f"quality {quality:.2f}, wanted {target:.2f}"])


def _too_low(measured: Measured, quality: float, target: float) -> str:
    parts = score.measures(measured.counts)
    sums = " + ".join(f"{weight:g} x {parts[name]:.2f} ({name})" for name, weight in score.WEIGHTS.items())
    wanting = "\n".join(_wanting(measured))
    return f"All tests pass, but its quality score is {quality:.2f}, and has to be {target:.2f}: {sums}.\n{wanting}"


def _wanting(measured: Measured) -> Iterator[str]:
    looked = measured.looked
    if looked.missing:
        yield f"no test runs these lines: {ranges(looked.missing)}"
    yield from _shown("lint", looked.lint)
    yield from _shown("types", looked.types)


def _shown(what: str, findings: Sequence[Finding]) -> Iterator[str]:
    for one in findings[:MAX_SHOWN]:
        yield f"{what}: {one}"
    if len(findings) > MAX_SHOWN:
        yield f"{what}: ... and {len(findings) - MAX_SHOWN} more"


def ranges(lines: Sequence[int]) -> str:
    """Line numbers as people write them: ``3-5, 9``."""
    runs: list[list[int]] = []
    for line in sorted(lines):
        if runs and line == runs[-1][-1] + 1:
            runs[-1][1:] = [line]
        else:
            runs.append([line])
    return ", ".join("-".join(map(str, run)) for run in runs)
