"""What must not block the event loop."""

import contextlib
from collections.abc import Iterator

from blockbuster import blockbuster_ctx


@contextlib.contextmanager
def refused(*packages: str) -> Iterator[None]:
    """Whatever of ``packages`` blocks the loop fails, but for the small commits that may (docs/decisions/012)."""
    with blockbuster_ctx(list(packages)) as watching:
        for name, function in watching.functions.items():
            if name.startswith("sqlite3."):
                function.can_block_in("events/projection/file.py", {"in_writer", "read"})
        yield
