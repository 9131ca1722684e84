"""Files on their way to a board."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec


class Image(msgspec.Struct, frozen=True):
    """A file to flash: a path, or bytes with a ``name``. Without ``address`` it goes where the board's firmware goes."""

    source: Path | bytes
    address: int | None = None
    name: str = "firmware.bin"

    @property
    def file_name(self) -> str:
        """What the lab calls it."""
        return self.source.name if isinstance(self.source, Path) else self.name


@contextmanager
def form_of(images: Sequence[Image]) -> Iterator[tuple[list[tuple[str, Any]], dict[str, Any]]]:
    """The files of a form, open for the time of the context, and the fields that belong to them. Raises ``OSError``."""
    single = len(images) == 1
    with ExitStack() as opened:
        files = []
        for image in images:
            content = image.source if isinstance(image.source, bytes) else opened.enter_context(image.source.open("rb"))
            field = "file" if single or image.address is None else f"file@{image.address:#x}"
            files.append((field, (image.file_name, content)))
        yield files, {"address": images[0].address} if single and images[0].address is not None else {}
