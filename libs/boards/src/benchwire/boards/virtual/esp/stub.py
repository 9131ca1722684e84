"""Which code, uploaded into RAM, is the flasher stub that esptool brings.

The stub itself is not run: its dialect is spoken by the loader (`loader.py`). Any other uploaded code is run.
"""

import base64
import hashlib
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import msgspec

from benchwire.boards.virtual.esp.ram import Ram, RamError


class Stub(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the stub."""

    text_start: int
    text_bytes: int
    text_sha256: bytes
    entry: int


@cache
def known_stubs(profile: str) -> tuple[Stub, ...]:
    """The stubs for a chip of the esptool installed beside this package, read as data; none when it isn't installed."""
    try:
        # Not by importlib's finders: a console script has its own directory on the path, and an esptool.py in it.
        installed = distribution("esptool")
    except PackageNotFoundError:
        return ()
    folder = Path(str(installed.locate_file("esptool/targets/stub_flasher")))
    return tuple(_read(path) for path in sorted(folder.glob(f"*/{profile}.json")))


def is_stub(ram: Ram, entry: int, stubs: tuple[Stub, ...]) -> bool:
    """Whether starting RAM at `entry` starts one of `stubs`. Where none is known every upload is taken for one."""
    return not stubs or any(_is_in(ram, stub) for stub in stubs if stub.entry == entry)


def _is_in(ram: Ram, stub: Stub) -> bool:
    try:
        text = ram.read(stub.text_start, stub.text_bytes)
    except RamError:
        return False
    return hashlib.sha256(text).digest() == stub.text_sha256


def _read(path: Path) -> Stub:
    described = json.loads(path.read_bytes())
    text = base64.b64decode(described["text"])
    return Stub(
        text_start=described["text_start"],
        text_bytes=len(text),
        text_sha256=hashlib.sha256(text).digest(),
        entry=described["entry"],
    )
