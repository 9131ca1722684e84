import json
from typing import Any

import pytest

from benchwire.agent.code import report

FOUND = {"what": "collected", "ids": ["t.py::a", "t.py::b"]}


def ended(name: str, outcome: str = "passed", **more: Any) -> dict[str, Any]:
    return {"what": "ended", "id": f"t.py::{name}", "outcome": outcome, **more}


def end(code: int = 0) -> dict[str, Any]:
    return {"what": "end", "code": code}


def read(*lines: dict[str, Any] | str, returncode: int = 0, broken: str | None = None) -> report.Ran:
    told = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
    return report.read(told, returncode=returncode, broken=broken, stderr="what it printed")


def test_tests_that_all_pass_pass() -> None:
    ran = read(FOUND, ended("a"), ended("b"), {"what": "covered", "lines": [1, 2]}, end())
    assert (ran.outcome, ran.reason, ran.count, list(ran.lines)) == ("passed", None, 2, [1, 2])


def test_a_test_that_fails_is_told_with_what_it_said() -> None:
    ran = read(FOUND, ended("a"), ended("b", "failed", text="assert 1 == 2"), end(1), returncode=1)
    assert ran.outcome == "failed"
    assert ran.reason == "1 of 2 tests did not pass\n\nt.py::b failed:\nassert 1 == 2"
    assert list(ran.passed) == ["t.py::a"]


def test_a_test_that_is_skipped_did_not_pass() -> None:
    ran = read(FOUND, ended("a"), ended("b", "skipped", text="not today"), end())
    assert (ran.outcome, len(ran.passed), len(ran.failures)) == ("failed", 1, 1)


def test_no_tests_are_no_success() -> None:
    ran = read({"what": "collected", "ids": []}, end(5), returncode=5)
    assert ran.outcome == "failed"
    assert "no test" in str(ran.reason)


def test_an_import_that_fails_is_told() -> None:
    ran = read({"what": "broken", "id": "t.py", "text": "No module named x"}, end(2), returncode=2)
    assert (ran.outcome, ran.reason) == ("failed", "the tests cannot be imported\nt.py:\nNo module named x")


def test_a_limit_is_the_reason_even_when_the_rest_is_garbled() -> None:
    ran = read(FOUND, {"what": "began", "id": "t.py::a"}, '{"what": "en', broken="it ran longer than 5 s")
    assert ran.outcome == "timeout"
    assert ran.reason == "the tests were ended in t.py::a: it ran longer than 5 s"
    assert [one.outcome for one in ran.failures] == ["not run", "not run"]
    assert read("?", "!", broken="it wrote more than 1 MiB").outcome == "crashed"


@pytest.mark.parametrize(("returncode", "words"), [(0, "exit code 0"), (139, "SIGSEGV"), (-11, "SIGSEGV")])
def test_a_process_that_ends_without_an_end_crashed(returncode: int, words: str) -> None:
    ran = read(FOUND, ended("a"), {"what": "began", "id": "t.py::b"}, returncode=returncode)
    assert ran.outcome == "crashed"
    assert f"by itself in t.py::b, with {words}" in str(ran.reason)


def test_a_wish_for_the_network_is_named() -> None:
    ran = read(FOUND, ended("a", "failed", text="gaierror", network=True), ended("b"), end(1), returncode=1)
    assert "there is none here" in str(ran.reason)


@pytest.mark.parametrize(
    "lines",
    [
        [FOUND, ended("a"), ended("b"), end(), ended("a")],
        [FOUND, ended("a"), ended("a"), ended("b"), end()],
        [FOUND, ended("other"), end()],
        [FOUND, FOUND, ended("a"), ended("b"), end()],
        [FOUND, ended("a"), end()],
        [FOUND, ended("a"), ended("b", "failed"), end()],
        [FOUND, ended("a"), ended("b"), end(1)],
        [FOUND, "no json", end()],
        ['{"what": "news"}'],
    ],
)
def test_what_does_not_fit_together_is_not_believed(lines: list[dict[str, Any] | str]) -> None:
    ran = read(*lines)
    assert (ran.outcome, ran.count) == ("crashed", 0)
    assert "cannot be believed" in str(ran.reason)
