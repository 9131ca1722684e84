from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.documents.errors import BadUpload
from benchwire.documents.names import charset_of, disposition, safe_content_type, safe_filename


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=600))
def test_any_name_is_refused_or_made_harmless(name: str) -> None:
    try:
        safe = safe_filename(name)
    except BadUpload:
        return
    assert safe == safe_filename(safe)
    assert not set(safe) & set("/\\\0\r\n\x1b\u202e")
    header = disposition(safe)
    assert header.isascii()
    assert header.isprintable()
    served = unquote(header.partition("UTF-8''")[2]) or header.partition('filename="')[2].rstrip('"')
    assert safe.startswith(served[: len(served) // 2])
    assert len(served.encode()) <= 255


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/", "../..", "x" * 4097])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadUpload):
        safe_filename(name)


def test_a_plain_name_is_served_plainly() -> None:
    assert disposition("notes v2.txt") == 'attachment; filename="notes v2.txt"'


def test_a_long_name_keeps_its_extension() -> None:
    served = unquote(disposition("ü" * 300 + ".tar").partition("UTF-8''")[2])
    assert served == "ü" * 125 + ".tar"


@pytest.mark.parametrize(
    ("given_type", "name", "kept"),
    [
        ("text/x-c; charset=utf-8", "a", "text/x-c; charset=utf-8"),
        (None, "a.json", "application/json"),
        ("", "a.unheard-of", "application/octet-stream"),
        ("text/html\r\nSet-Cookie: a=b", "a.txt", "text/plain"),
        ("nonsense", "a.txt", "text/plain"),
    ],
)
def test_a_content_type_is_kept_when_it_is_one(given_type: str | None, name: str, kept: str) -> None:
    assert safe_content_type(given_type, name) == kept


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/plain", "utf-8"),
        ('text/plain; charset="ISO-8859-1"', "iso-8859-1"),
        ("application/json", "utf-8"),
        ("image/svg+xml", None),
        ("application/vnd.a+json", "utf-8"),
        ("application/octet-stream", None),
    ],
)
def test_text_has_a_charset_and_other_things_have_none(content_type: str, charset: str | None) -> None:
    assert charset_of(content_type) == charset
