import pytest

from benchwire.agent.code import prompt

MODULE = "def f() -> int:\n    return 1\n"
TESTS = "from calc import f\n\n\ndef test_f() -> None:\n    assert f() == 1\n"
BOTH = {"calc.py": MODULE, "test_calc.py": TESTS}


@pytest.mark.parametrize(
    "answer",
    [
        f"Here:\n```python calc.py\n{MODULE}```\nand\n```python test_calc.py\n{TESTS}```\n",
        f"**calc.py**\n\n```python\n{MODULE}```\n\n**`test_calc.py`**\n```python\n{TESTS}```",
        f"```python\n{MODULE}```\n```python\n{TESTS}```",
        f"```python\n{TESTS}```\n```py\n{MODULE}```",
        f"~~~python src/calc.py\n{MODULE}~~~\n\nNow the tests, tests/test_calc.py:\n````python\n{TESTS}````",
        f"```calc.py\r\n{MODULE}```\r\n```test_calc.py\r\n{TESTS}```".replace("\n", "\r\n").replace("\r\r", "\r"),
    ],
)
def test_both_files_are_found_however_they_are_named(answer: str) -> None:
    assert prompt.files_of(answer, "calc.py") == BOTH


def test_a_name_in_the_first_comment_counts() -> None:
    found = prompt.files_of(f"```python\n# test_calc.py\nX = 1\n```\n```python\n# calc.py\n{MODULE}```", "calc.py")
    assert found == {"test_calc.py": "# test_calc.py\nX = 1\n", "calc.py": f"# calc.py\n{MODULE}"}


def test_a_fence_in_a_docstring_closes_nothing() -> None:
    code = 'def f() -> int:\n    """Use it:\n\n    ```python\n    f()\n    ```\n    """\n    return 1\n'
    assert prompt.files_of(f"```python calc.py\n{code}```", "calc.py") == {"calc.py": code}


def test_a_block_that_is_not_closed_is_no_file() -> None:
    found = prompt.files_of(f"```python calc.py\n{MODULE}```\n```python test_calc.py\n{TESTS}", "calc.py")
    assert found == {"calc.py": MODULE}


def test_other_blocks_are_passed_over() -> None:
    assert prompt.files_of(f"```bash\npytest\n```\n```python calc.py\n{MODULE}```", "calc.py") == {"calc.py": MODULE}


def test_a_named_block_counts_more_than_a_longer_one_without_a_name() -> None:
    longer = f"```python\n{MODULE}# and more\n```"
    assert prompt.files_of(f"```python calc.py\n{MODULE}```\nFor example:\n{longer}", "calc.py") == {"calc.py": MODULE}


def test_an_answer_that_is_written_for_the_model_is_read_as_it_was() -> None:
    code = 'X = """\n```\n"""\n'
    assert prompt.files_of(prompt.answer({"calc.py": code, "test_calc.py": TESTS}), "calc.py") == {
        "calc.py": code,
        "test_calc.py": TESTS,
    }
