"""How good a module is, as a number: what was measured, weighed."""

import msgspec

WEIGHTS = {"tests": 0.5, "coverage": 0.3, "lint": 0.1, "types": 0.1}
FINDINGS_WEIGH = 5  # a module with a finding in every fifth statement is at 0, as is a short one with two
SHORT = 10


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of one module: its tests, the lines of its statements, and findings."""

    tests: int
    tests_passed: int
    statements: int
    statements_run: int
    lint_findings: int
    type_errors: int


def measures(counts: Counts) -> dict[str, float]:
    """Each between 0 and 1: the part of the tests that passed, the part of the statements that ran, and what findings leave of 1."""
    return {
        "tests": _part(counts.tests_passed, counts.tests),
        "coverage": _part(counts.statements_run, counts.statements),
        "lint": _left(counts.lint_findings, counts.statements),
        "types": _left(counts.type_errors, counts.statements),
    }


def quality(measured: dict[str, float]) -> float:
    """The measures times their weights."""
    return round(sum(measured[name] * weight for name, weight in WEIGHTS.items()), 4)


def _part(some: int, whole: int) -> float:
    return round(some / whole, 4) if whole else 0.0


def _left(findings: int, statements: int) -> float:
    if not statements:  # there is nothing, or nothing that is Python
        return 0.0
    return round(max(0.0, 1 - FINDINGS_WEIGH * findings / max(statements, SHORT)), 4)
