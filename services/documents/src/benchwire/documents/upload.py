"""Taking an upload: the form in which a document comes."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence

from benchwire.documents.commands import Received
from benchwire.documents.errors import BadUpload
from benchwire.documents.names import safe_content_type, safe_filename
from benchwire.events.arriving import Arriving
from benchwire.web import forms
from benchwire.web.forms import Form, Kind, Part

_FILE = "file"
_FIELDS = frozenset({"tags", "metadata", "checksum", "expires_at"})
_DIGEST_HEADERS = ("Content-Digest", "Repr-Digest", "Digest")


@contextlib.asynccontextmanager
async def received(
    body: AsyncIterable[bytes],
    content_type: str,
    arriving: Callable[[], Arriving],
    *,
    limit_bytes: int,
    promised: Sequence[str] = (),
) -> AsyncGenerator[tuple[Received, bytes | Arriving], None]:
    """The upload in ``body``, and its bytes for the time of the context; ``promised`` is what the call's headers say.

    Raises ``BadUpload``, ``LogUnavailable``, and as ``forms.received`` does.
    """

    async def into() -> Arriving:
        return arriving()

    async with forms.received(body, content_type, into, limit_bytes=limit_bytes, kind_of=_kinds()) as form:
        yield _received(form, promised), form.files[0].kept.data


def _kinds() -> Callable[[Part], Kind]:
    """One file; what is neither that nor a known field is passed over."""
    files = 0

    def kind_of(part: Part) -> Kind:
        nonlocal files
        if part.field != _FILE:
            return "text" if part.field in _FIELDS else "passed over"
        files += 1
        if files > 1:
            raise BadUpload("send one file at a time")
        safe_filename(part.filename)  # before the bytes: whoever forgot the name need not wait for them
        return "file"

    return kind_of


def _received(form: Form[Arriving], promised: Sequence[str]) -> Received:
    if not form.files:
        raise BadUpload("the form has no part named 'file'")
    (file,) = form.files
    filename = safe_filename(file.part.filename)
    # Several 'tags' are one list; several 'metadata' will not parse.
    texts = {field: ",".join(value for name, value in form.fields if name == field) for field in _FIELDS}
    return Received(
        filename=filename,
        content_type=safe_content_type(file.part.header("Content-Type"), filename),
        size_bytes=file.kept.size_bytes,
        digest=file.kept.digest,
        tags=texts["tags"],
        metadata=texts["metadata"],
        expires_at=texts["expires_at"],
        promised=tuple(filter(None, [texts["checksum"].strip(), *promised_in(file.part.header), *promised])),
    )


def promised_in(header: Callable[[str], str | None]) -> list[str]:
    """What ``Content-Digest`` and its kin say, where ``header`` gives the value of one."""
    return [value for name in _DIGEST_HEADERS if (value := header(name))]
