"""Fixtures only; nothing imports from here."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory with a short path, because a unix socket's path may have 107 bytes, and the worker's own is long."""
    with tempfile.TemporaryDirectory(prefix="bw-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)
