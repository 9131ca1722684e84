"""What is told about a source, by functions that run inside the sandbox."""

import ast
from pathlib import Path

from benchwire.agent.code.inside import source

MODULE = '''"""A module."""


class Stack:
    """A stack."""

    def push(self, one: int) -> None:
        """Onto it."""
        self.items.append(one)

    def later(self) -> None:
        """Some day."""
        raise NotImplementedError


LIMIT = 3
'''


def test_a_hollow_module_keeps_all_but_what_functions_do() -> None:
    hollow = source.hollow(MODULE)
    assert hollow is not None
    assert "append" not in hollow
    assert "LIMIT = 3" in hollow
    assert hollow.count("raise NotImplementedError") == 2
    ast.parse(hollow)


def test_a_module_that_does_nothing_has_no_hollow_form() -> None:
    assert source.hollow("LIMIT = 3\n\n\ndef later() -> None:\n    ...\n") is None
    assert source.hollow("def (") is None


def test_assertions_are_counted_however_they_are_made() -> None:
    tests = "assert f()\nself.assertEqual(1, g())\nwith pytest.raises(ValueError):\n    h()\nassert True\n"
    assert source.assertions(tests) == 3


def test_what_reaches_for_its_judge_is_named() -> None:
    meddling = "import _pytest.reports\nfrom coverage import Coverage\npytest_plugins = ['calc']\n\ndef pytest_runtest_logreport(r):\n    pass\n"
    assert source.meddling("calc.py", meddling) == [
        "calc.py:1: _pytest.reports",
        "calc.py:2: coverage",
        "calc.py:3: pytest_plugins",
        "calc.py:5: pytest_runtest_logreport",
    ]
    assert source.meddling("test_calc.py", "import pytest\n\n\ndef test_f():\n    pytest.skip()\n") == []


def test_a_comment_does_not_keep_mypy_from_looking() -> None:
    text = 'x: int = "a"  # type: ignore[assignment]\n# mypy: ignore-errors\ny = "# type: ignore"\n'
    assert source.without_asking(text) == 'x: int = "a"\n\ny = "# type: ignore"\n'


def test_lines_that_did_not_run_are_missing_whatever_a_comment_says(tmp_path: Path) -> None:
    file = tmp_path / "calc.py"
    file.write_text(
        'def f(x: int) -> int:\n    if x:  # pragma: no cover\n        return 1\n    return 2\n\n\nif __name__ == "__main__":\n    f(1)\n'
    )
    statements, missing = source.covered(file, [1, 2, 4, 99])
    assert (statements, missing) == ([1, 2, 3, 4], [3])
