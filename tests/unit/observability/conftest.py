"""Fixtures only; nothing imports from here."""

from collections.abc import Iterator

import pytest
from sqlite_utils import Database

from benchwire.observability.testing import tables


@pytest.fixture
def db() -> Iterator[Database]:
    """The rows of a service that has seen nothing yet."""
    with tables() as db:
        yield db
