import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.documents.errors import BadQuery
from benchwire.documents.search.texts import MAX_WORDS, question, text_of


@pytest.fixture(scope="module")
def found() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE VIRTUAL TABLE found USING fts5(text)")
    conn.execute("INSERT INTO found VALUES ('the quick brown fox')")
    yield conn
    conn.close()


def matches(conn: sqlite3.Connection, asked: str) -> int:
    wanted = question(asked)
    return 0 if wanted is None else len(conn.execute("SELECT * FROM found WHERE found MATCH ?", (wanted,)).fetchall())


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("quick", 1), ("fox quick", 1), ("quick cat", 0), ('"quick brown"', 1), ('"brown quick"', 0), ("qui*", 1), ("qui", 0),
        ("quick -cat", 1), ("quick -fox", 0), ("-fox", 1), ("OR", 0), ("quick AND fox", 0), ("++", 0), ("", 0), ("quick ++", 1),
        ('"quick', 1), ("quick-brown", 1), ("quick:brown", 1), ('-"quick brown" the', 0),
    ],
)  # fmt: skip
def test_a_question_means_what_a_person_means(found: sqlite3.Connection, asked: str, count: int) -> None:
    assert matches(found, asked) == count


@given(st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('"*-()^:{}+ NEAROT'))))
def test_any_text_is_a_question(asked: str) -> None:
    conn = sqlite3.connect(":memory:")
    conn.execute("CREATE VIRTUAL TABLE found USING fts5(text)")
    matches(conn, asked)
    conn.close()


@pytest.mark.parametrize("word", ["w", "-w", '"a b"'])
def test_a_question_has_so_many_words_at_most(found: sqlite3.Connection, word: str) -> None:
    """FTS5 nests its operators; a hundred thousand of them ended the process with its stack."""
    matches(found, f"{word} " * MAX_WORDS)
    with pytest.raises(BadQuery, match="look for fewer"):
        question(f"{word} " * 100_000)


def test_text_is_told_from_other_bytes() -> None:
    assert text_of("Größe".encode(), "application/octet-stream", cut=False) == "Größe"
    assert text_of(b"\xef\xbb\xbfbom", "text/plain", cut=False) == "bom"
    assert text_of("Größe".encode("latin-1"), "text/plain", cut=False) == "Größe"
    assert text_of("Größe".encode("latin-1"), "image/png", cut=False) is None
    assert text_of(b"a\0b", "text/plain", cut=False) is None
    assert text_of("aé".encode()[:-1], "image/png", cut=True) == "a"
    assert text_of("aé".encode()[:-1], "image/png", cut=False) is None
    assert text_of(b"", "text/plain", cut=False) == ""
