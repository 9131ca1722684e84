"""Many small documents in one call: a JSON object per line, and a line of answer for each.

The answer is sent when the last line is in: a client that sends everything before it reads anything would otherwise wait for us, and we
for it.
"""

import asyncio
import binascii
import logging
import tempfile
from base64 import b64decode
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import IO
from weakref import WeakValueDictionary

import msgspec

from benchwire.documents.commands import Received
from benchwire.documents.errors import STATUS, BadUpload, UploadTooLarge
from benchwire.documents.names import safe_content_type, safe_filename
from benchwire.documents.store import Store
from benchwire.documents.wire import BulkLine, BulkResult
from benchwire.web.errors import DEFAULTS
from benchwire.web.forms import in_words

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 << 20
HELD_BYTES = 2 * MAX_LINE_BYTES
_AT_ONCE = 48
_BLOCK_BYTES = 1 << 16
_table = {**DEFAULTS, **STATUS}
_line = msgspec.json.Decoder(BulkLine)

Turns = WeakValueDictionary[str, asyncio.Lock]  # by key: of lines with one key, the first makes the document


class Results:
    """What became of the lines, in their order, in a file without a name. To be closed by ``aclose``."""

    def __init__(self, directory: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by aclose()
        self._buffer = bytearray()

    async def add(self, result: BulkResult) -> None:
        """The result of the next line."""
        self._buffer += msgspec.json.encode(result) + b"\n"
        if len(self._buffer) >= _BLOCK_BYTES:
            await self._flush()

    async def complete(self) -> None:
        """Nothing more comes. Here, and not when it is read: a full disk has to be known before the answer begins."""
        await self._flush()
        await asyncio.to_thread(self._file.seek, 0)

    async def _flush(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        await asyncio.to_thread(self._file.write, data)

    async def read(self) -> AsyncGenerator[bytes, None]:
        """All results, a line each, once they are complete."""
        while block := await asyncio.to_thread(self._file.read, _BLOCK_BYTES):
            yield block

    async def aclose(self) -> None:
        """Lets go of the file."""
        await asyncio.to_thread(self._file.close)


async def taken(body: AsyncIterable[bytes], store: Store) -> Results:
    """Makes a document of each line of ``body``, several at a time; what became of them.

    Raises ``BadUpload`` when a line is too long, ``BadForm`` when the client went away, and ``NoRoom``; the documents of the lines before stand.
    """
    with in_words():
        return await _taken(body, store)


async def _taken(body: AsyncIterable[bytes], store: Store) -> Results:
    results = await asyncio.to_thread(Results, store.incoming)
    under_way: deque[tuple[asyncio.Task[BulkResult], int]] = deque()
    held = number = 0
    turns: Turns = WeakValueDictionary()
    try:
        async for line in _lines(body):
            number += 1
            while under_way and (len(under_way) >= _AT_ONCE or held + len(line) > HELD_BYTES):
                held -= under_way[0][1]
                await results.add(await under_way[0][0])
                under_way.popleft()
            if line.strip():
                under_way.append((asyncio.create_task(_result(store, number, line, turns)), len(line)))
                held += len(line)
        while under_way:
            await results.add(await under_way[0][0])
            under_way.popleft()
        await results.complete()
    except BaseException:
        for task, _ in under_way:
            task.cancel()
        await asyncio.gather(*(task for task, _ in under_way), return_exceptions=True)
        await results.aclose()
        raise
    return results


async def _lines(body: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    rest = bytearray()
    async for chunk in body:
        rest += chunk
        if b"\n" in chunk:
            *whole, rest = rest.split(b"\n")
            for line in whole:
                yield bytes(line)
        if len(rest) > MAX_LINE_BYTES:
            raise BadUpload(f"a line may have {MAX_LINE_BYTES} bytes at most; send large documents one by one")
    if rest:
        yield bytes(rest)


async def _result(store: Store, number: int, line: bytes, turns: Turns) -> BulkResult:
    try:
        one = _line.decode(line)
        data = _content(one)
        if len(data) > store.max_bytes:
            raise UploadTooLarge(store.max_bytes)  # noqa: TRY301 - one place tells
        # Tasks begin in the order of their lines, and a lock is had in the order in which it was asked for.
        async with turns.setdefault(one.key, asyncio.Lock()) if one.key else nullcontext():
            made = await store.create(_received(one, data), data, key=one.key)
    except Exception as error:
        status = next((_table[kind] for kind in type(error).__mro__ if kind in _table), None)
        if status is None:
            log.exception("line %d of a bulk upload failed", number)
            return BulkResult(
                line=number, status_code=500, detail="something went wrong here; the service's log says what"
            )
        return BulkResult(line=number, status_code=status, detail=str(error))
    return BulkResult(line=number, status_code=201, id=made.id, checksum=made.digest)


def _content(one: BulkLine) -> bytes:
    """The bytes that a line brings. Raises ``BadUpload``."""
    if (one.text is None) == (one.content_base64 is None):
        raise BadUpload("a line brings either 'text' or 'content_base64'")
    try:
        return one.text.encode() if one.text is not None else b64decode(one.content_base64 or "", validate=True)
    except UnicodeEncodeError:
        raise BadUpload("the text holds half of a character") from None
    except (binascii.Error, ValueError) as error:
        raise BadUpload(f"content_base64 is not base64: {error}") from None


def _received(one: BulkLine, data: bytes) -> Received:
    filename = safe_filename(one.filename)
    return Received(
        filename=filename,
        content_type=safe_content_type(one.content_type, filename),
        size_bytes=len(data),
        digest=sha256(data).hexdigest(),
        tags=",".join(one.tags),
        metadata=msgspec.json.encode(one.metadata).decode() if one.metadata else "",
        expires_at=one.expires_at.isoformat() if one.expires_at else "",
        promised=(one.checksum,) if one.checksum else (),
    )
