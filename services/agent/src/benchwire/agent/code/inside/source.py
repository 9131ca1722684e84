"""Looks at one module and its tests without running them: ``source.py <module> <test file> <lines>``, all in the current directory.

``lines`` is a file with a JSON list: the lines of the module that its tests ran. The answer is one JSON object on the standard output.
What a comment asks a tool to overlook is not overlooked: no ``noqa``, no ``type: ignore``, no ``pragma: no cover``.
"""

import ast
import gc
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
from coverage.exceptions import CoverageException
from mypy import api

RULES = "E4,E7,E9,F,W6,B,PLE,RUF006,ASYNC"
# Lines that tests cannot run; a module is free to have them.
UNREACHED = [r"if __name__ == ['\"]__main__['\"]:", r"if (typing\.)?TYPE_CHECKING:"]
MAX_FINDINGS = 200
# What judges the tests: nothing that is tested has any business there.
JUDGES = ("_pytest", "pluggy", "coverage", "conftest")

_ASKS = re.compile(r"#\s*(type:\s*ignore|mypy:).*")


def main() -> None:
    """Prints what was found."""
    gc.disable()  # as mypy does for itself: it makes many objects, and is soon over
    module, tests, lines = map(Path, sys.argv[1:])
    source, testing = module.read_text("utf-8"), tests.read_text("utf-8")
    statements, missing = covered(module, json.loads(lines.read_text()))
    json.dump(
        {
            "statements": len(statements),
            "missing": missing,
            "assertions": assertions(testing),
            "meddling": [*meddling(module.name, source), *meddling(tests.name, testing)],
            "hollow": hollow(source),
            "lint": lint([module, tests]),
            "types": types(module, source),
        },
        sys.stdout,
    )
    sys.stdout.flush()
    os._exit(0)  # which takes none of them down one by one


def covered(module: Path, lines: list[int]) -> tuple[list[int], list[int]]:
    """The lines of the module's statements, and those that did not run; nothing for what is no Python."""
    looked = coverage.Coverage(data_file=None, config_file=False, messages=False)
    looked.set_option("report:exclude_lines", UNREACHED)
    path = str(module.resolve())
    looked.get_data().add_lines({path: lines})
    try:
        _, statements, _, missing, _ = looked.analysis2(path)
    except CoverageException:
        return [], []
    return statements, missing


def lint(files: list[Path]) -> list[dict[str, Any]]:
    """What ruff finds."""
    asked = ["check", "--isolated", "--no-cache", "--ignore-noqa", "--select", RULES, "--output-format", "json"]
    done = subprocess.run(
        [sys.executable, "-I", "-m", "ruff", *asked, *(one.name for one in files)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"ruff: {done.stderr}")
    return [
        {
            "file": Path(one["filename"]).name, "line": (one["location"] or {}).get("row", 0), "code": one["code"] or "",
            "message": one["message"],
        }
        for one in json.loads(done.stdout)[:MAX_FINDINGS]
    ]  # fmt: skip


def types(module: Path, source: str) -> list[dict[str, Any]]:
    """What mypy finds in the module; what it finds in others that the module imports is theirs."""
    module.write_text(without_asking(source), "utf-8")
    told, problem, code = api.run(
        ["--strict", "--config-file=", "--cache-dir=/dev/null", "--no-site-packages", "--output=json", module.name]
    )
    if code not in (0, 1, 2) or problem:
        raise SystemExit(f"mypy: {problem}")
    found = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    mine = [one for one in found if one["severity"] == "error" and Path(one["file"]).name == module.name]
    return [
        {"file": module.name, "line": one["line"], "code": one["code"] or "", "message": one["message"]}
        for one in mine[:MAX_FINDINGS]
    ]


def without_asking(source: str) -> str:
    """The source without the comments that ask mypy to overlook something; each line stays where it is."""
    lines = source.splitlines(keepends=True)
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT and _ASKS.match(token.string):
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
    except (tokenize.TokenError, SyntaxError):
        return source
    return "".join(lines)


def assertions(source: str) -> int:
    """How many assertions the tests make; one of a constant is none."""
    try:
        return sum(_asserts(node) for node in ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("raises", "warns", "fail") or node.func.attr.startswith("assert")
    return False


def meddling(file: str, source: str) -> list[str]:
    """Where a file reaches for what judges it: it would be a plugin of pytest, or imports what is inside."""
    try:
        found = sorted(one for node in ast.walk(ast.parse(source)) for one in _reaches(node))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [f"{file}:{line}: {what}" for line, what in found]


def _reaches(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.FunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()) if name.startswith("pytest_"):
            yield node.lineno, name
        case ast.Import(names=names):
            yield from ((node.lineno, one.name) for one in names if one.name.split(".")[0] in JUDGES)
        case ast.ImportFrom(module=str(name)) if name.split(".")[0] in JUDGES:
            yield node.lineno, name
        case _:
            pass


def hollow(source: str) -> str | None:
    """The module with functions that only raise; None when it has no function that does anything, or is no Python."""
    try:
        tree = ast.parse(source)
        emptying = _Emptying()
        emptied = ast.unparse(emptying.visit(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return emptied if emptying.count else None


class _Emptying(ast.NodeTransformer):
    def __init__(self) -> None:
        self.count = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._emptied(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._emptied(node)

    def _emptied(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if all(_does_nothing(one) for one in node.body):
            return node
        self.count += 1
        node.body = ast.parse("raise NotImplementedError").body
        return node


def _does_nothing(statement: ast.stmt) -> bool:
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, ast.Pass | ast.Raise)


if __name__ == "__main__":
    main()
