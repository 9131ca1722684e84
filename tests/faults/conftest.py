"""Fixtures only; nothing imports from here."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def lab_dir() -> Iterator[Path]:
    """A directory with a short path: the boards' unix sockets are in it."""
    directory = Path(tempfile.mkdtemp(prefix="bw-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
