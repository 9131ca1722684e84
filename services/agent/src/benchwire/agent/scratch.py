"""A directory for one piece of work, gone with it."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from benchwire.agent import sandbox


@asynccontextmanager
async def folder(parent: Path) -> AsyncGenerator[Path, None]:
    """An empty directory below ``parent`` for the time of the context, whatever is made in it. Raises OSError."""
    made = await asyncio.to_thread(_made, parent)
    try:
        yield made
    finally:
        await asyncio.to_thread(sandbox.remove, made)


def _made(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))
