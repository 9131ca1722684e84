"""What may be gone when the same is tried again, and what stays."""

import re
from collections.abc import Iterator
from pathlib import Path

from benchwire.flash_agent import errors, tools
from benchwire.flash_agent.errors import LASTING, TRANSIENT, FlashError, ToolFailed


def kinds(of: type[FlashError]) -> Iterator[type[FlashError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_no_code_may_both_pass_and_last() -> None:
    assert not TRANSIENT & LASTING


def test_of_each_error_of_a_job_it_is_said_whether_it_may_pass() -> None:
    codes = {kind.code for kind in kinds(FlashError) if kind is not ToolFailed and kind.__module__ == errors.__name__}
    # A tool's own, as it says them: the first argument of each ToolError.
    workers = Path(tools.__path__[0]).glob("*_worker.py")
    said = {code for one in workers for code in re.findall(r'ToolError\(\s*"(\w+)"', one.read_text())}
    assert len(said) > 5
    assert codes | said - {"cancelled"} <= TRANSIENT | LASTING
