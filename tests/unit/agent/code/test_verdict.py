from typing import Any

import pytest

from benchwire.agent.code import score, verdict
from benchwire.agent.code.report import Finding, Looked, Measured, Ran


def measured(*, tests: int = 2, reason: str | None = None, proving: int | None = 2, **looked: Any) -> Measured:
    ran = Ran(
        outcome="passed" if reason is None else "failed",
        reason=reason,
        passed=[f"t{number}" for number in range(tests)],
    )
    return Measured(
        tests=ran, looked=Looked(**{"statements": 20, "assertions": 2, **looked}), proving=proving, duration_s=1.0
    )


def judged(one: Measured, *, target: float = 0.8, tests_before: int = 0) -> verdict.Rejected | None:
    return verdict.rejected(one, target=target, tests_before=tests_before)


def finding(line: int = 3) -> Finding:
    return Finding(file="a.py", line=line, code="F401", message="unused")


def test_the_weights_add_up_to_one() -> None:
    assert sum(score.WEIGHTS.values()) == pytest.approx(1.0)


def test_the_score_is_the_weighed_sum_of_what_was_measured() -> None:
    counts = measured(missing=[1, 2, 3, 4, 5], lint=[finding()]).counts
    assert score.measures(counts) == {"tests": 1.0, "coverage": 0.75, "lint": 0.75, "types": 1.0}
    assert score.quality(score.measures(counts)) == 0.9


def test_what_was_not_there_to_measure_counts_nothing() -> None:
    nothing = score.Counts(tests=0, tests_passed=0, statements=0, statements_run=0, lint_findings=0, type_errors=0)
    assert score.quality(score.measures(nothing)) == 0.0


def test_what_is_good_enough_is_not_rejected() -> None:
    assert judged(measured()) is None


def test_a_quality_below_the_target_is_told_with_all_that_is_wanting() -> None:
    rejected = judged(measured(missing=[4, 5, 6, 9], lint=[finding()]), target=0.99)
    assert rejected is not None
    assert rejected.stage == "quality"
    assert "quality score is 0.92, and has to be 0.99" in rejected.feedback
    assert "no test runs these lines: 4-6, 9" in rejected.feedback
    assert "lint: a.py:3: F401: unused" in rejected.feedback


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (measured(reason="1 of 2 tests did not pass"), "1 of 2"),
        (measured(assertions=0), "assert nothing"),
        (measured(proving=0), "only raises NotImplementedError"),
        (measured(meddling=["a.py:1: pytest_plugins"]), "a.py:1: pytest_plugins"),
        (measured(tests=1), "There are 1 tests; before, there were 2"),
    ],
)
def test_tests_that_fail_or_prove_nothing_are_told(one: Measured, why: str) -> None:
    rejected = judged(one, tests_before=2)
    assert rejected is not None
    assert rejected.stage == "test"
    assert why in rejected.feedback


def test_a_module_without_functions_cannot_be_emptied_and_is_judged_without() -> None:
    assert judged(measured(proving=None)) is None


def test_a_source_that_no_tool_can_read_is_rejected() -> None:
    rejected = judged(measured(problem="mypy: crashed"))
    assert rejected is not None
    assert "mypy: crashed" in rejected.feedback


def test_lines_are_written_as_ranges() -> None:
    assert verdict.ranges([9, 1, 2, 3]) == "1-3, 9"
