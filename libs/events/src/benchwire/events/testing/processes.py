"""The processes that another one has started."""

from contextlib import suppress

import psutil


def below(pid: int, word: str) -> psutil.Process | None:
    """The first process below ``pid`` with ``word`` in its command line; None when there is none."""
    for one in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(word in said for said in one.cmdline()):
                return one
    return None
