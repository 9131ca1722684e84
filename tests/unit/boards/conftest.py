"""Flash to test with."""

import pytest

from benchwire.boards.virtual.esp.nor import Nor
from benchwire.boards.virtual.flash_array import Cells, FlashArray


@pytest.fixture
def cells(request: pytest.FixtureRequest) -> bytearray:
    """Erased, and as many as FLASH_BYTES of the test's module says."""
    return bytearray(b"\xff" * request.module.FLASH_BYTES)


@pytest.fixture
def array(cells: Cells) -> FlashArray:
    return FlashArray(cells)


@pytest.fixture
def nor() -> Nor:
    """Erased."""
    return Nor.in_memory()
