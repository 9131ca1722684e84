"""Forms with files, as they come from the socket: taken piece by piece, within limits, and nothing is left of one that broke off."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchwire.web.forms import BadForm, Form, FormTooLarge, Kind, Part, received
from benchwire.web.temporary import TemporaryFile, files_in

KIND = "multipart/form-data; boundary=x"
TAIL = b"\r\n--x--\r\n"


def part(disposition: str, content: bytes) -> bytes:
    return b"\r\n--x\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + content


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for place in range(0, len(body), 7):
        yield body[place : place + 7]


async def taken(
    incoming: Path, *parts: bytes, tail: bytes = TAIL, limit_bytes: int = 100
) -> tuple[Form[TemporaryFile], list[bytes]]:
    body = b"".join(parts).lstrip() + tail
    async with received(pieces(body), KIND, files_in(incoming), limit_bytes=limit_bytes) as form:
        return form, [one.kept.path.read_bytes() for one in form.files]


def left_in(incoming: Path) -> list[Path]:
    return list(incoming.iterdir())


async def test_files_and_fields_are_taken_in_their_order(tmp_path: Path) -> None:
    file = part('name="file"; filename="a.bin"', b"\x00\xff" * 20)
    form, [data] = await taken(tmp_path, part('name="a"', b"1"), file, part('name="a"', "ü".encode()))
    assert form.fields == [("a", "1"), ("a", "ü")]
    [one] = form.files
    assert (one.part.field, one.part.filename, one.kept.size_bytes) == ("file", "a.bin", 40)
    assert one.kept.digest == hashlib.sha256(data).hexdigest()
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ("name=\"file\"; filename*=UTF-8''%D0%BF.bin", "п.bin"),
        ("name=\"file\"; filename*=utf-8''%FF.bin", "\ufffd.bin"),
        ('name="file"; filename="a"; filename*=UTF-8\'\'b', "a"),
    ],
)
async def test_a_name_that_some_clients_write_otherwise_is_read(
    tmp_path: Path, disposition: str, filename: str
) -> None:
    form, _ = await taken(tmp_path, part(disposition, b"\xff"))
    assert [one.part.filename for one in form.files] == [filename]


async def test_what_is_too_large_or_no_text_or_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    file = part('name="file"; filename="a.bin"', b"x" * 60)
    with pytest.raises(FormTooLarge, match="100 bytes"):
        await taken(tmp_path, file, file)
    with pytest.raises(BadForm, match="'note' may have 65536"):
        await taken(tmp_path, file, part('name="note"', b"x" * 65_537))
    with pytest.raises(BadForm, match="UTF-8"):
        await taken(tmp_path, file, part('name="note"', b"\xff"))
    with pytest.raises(BadForm, match="cannot be read"):
        await taken(tmp_path, file, tail=b"")
    assert left_in(tmp_path) == []


async def test_who_takes_the_form_says_what_each_part_is(tmp_path: Path) -> None:
    def kind_of(one: Part) -> Kind:
        return "file" if one.field == "file" else "passed over"

    body = part('name="x"; filename="x"', b"\xff").lstrip() + part('name="file"', b"abc") + TAIL
    async with received(pieces(body), KIND, files_in(tmp_path), limit_bytes=100, kind_of=kind_of) as form:
        assert ([one.part.field for one in form.files], form.fields) == (["file"], [])
