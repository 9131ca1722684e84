import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchwire.web import tokens
from benchwire.web.tokens import BadTokens, NameTaken, NoSuchToken, Scope

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tokens.json"


def make(file: Path, name: str = "ci", *scopes: Scope) -> str:
    return tokens.create(file, name, scopes or (Scope.READ,), now=NOW)


def test_a_token_is_kept_hashed_in_a_file_of_its_owners_own(file: Path) -> None:
    secret = make(file, "ci", Scope.WRITE, Scope.READ)
    assert secret not in file.read_text()
    (kept,) = tokens.read(file)
    assert (kept.name, kept.scopes, kept.created_at, kept.expires_at) == ("ci", (Scope.READ, Scope.WRITE), NOW, None)
    assert kept.sha256 == tokens.hashed(secret)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == [".tokens.json.lock", "tokens.json"]


def test_tokens_are_long_and_no_two_are_the_same(file: Path) -> None:
    made = {make(file, f"t{number}") for number in range(20)}
    assert len(made) == 20
    assert all(len(one) >= 43 for one in made)


def test_a_name_is_given_once_and_free_again_after_it_was_revoked(file: Path) -> None:
    make(file)
    with pytest.raises(NameTaken, match="ci"):
        make(file)
    tokens.revoke(file, "ci")
    assert tokens.read(file) == []
    with pytest.raises(NoSuchToken, match="ci"):
        tokens.revoke(file, "ci")
    make(file)


def test_revoking_where_there_are_no_tokens_makes_no_file(file: Path) -> None:
    with pytest.raises(NoSuchToken):
        tokens.revoke(file, "ci")
    assert not file.parent.exists()


def test_of_many_that_are_made_at_once_none_is_lost(file: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: make(file, f"t{number}"), range(24)))
    assert len(tokens.read(file)) == 24


def test_a_draft_that_somebody_left_behind_is_in_nobodys_way(file: Path) -> None:
    file.parent.mkdir()
    file.with_name(f".tokens.json.{os.getpid()}").write_text("half of a fi")
    make(file)
    assert len(tokens.read(file)) == 1


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a-", "BENCHWIRE_TOKEN", "x" * 65, "a\nb", "ü"])
def test_a_name_that_cannot_be_is_refused_and_nothing_is_written(file: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a token's name"):
        make(file, name)
    assert not file.exists()


def test_each_scope_allows_to_read_and_nothing_else_that_is_not_said() -> None:
    for one in Scope:
        assert {wanted for wanted in Scope if tokens.allowed([one], wanted)} == {Scope.READ, one}
    assert not tokens.allowed([], Scope.READ)


def test_a_token_is_good_until_it_expires(file: Path) -> None:
    tokens.create(file, "ci", [Scope.READ], now=NOW, expires_at=NOW + timedelta(hours=1))
    (kept,) = tokens.read(file)
    assert kept.is_good(NOW + timedelta(minutes=59))
    assert not kept.is_good(NOW + timedelta(hours=1))


GOOD: dict[str, Any] = {"name": "a", "sha256": "0" * 64, "scopes": ["read"], "created_at": "2026-01-17T12:00:00Z"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "broken"),
        (b"[]", "broken"),
        (b"\xff", "broken"),
        ({"tokens": [{**GOOD, "scopes": ["admin"]}]}, "admin"),
        ({"tokens": [{**GOOD, "scopes": []}]}, "no scope"),
        ({"tokens": [{**GOOD, "sha256": "abc"}]}, "SHA-256"),
        ({"tokens": [GOOD, GOOD]}, "two tokens"),
        ({"tokens": [{**GOOD, "created_at": "2026-01-17T12:00:00"}]}, "zone"),
        ({"tokens": [{**GOOD, "name": "BENCHWIRE_TOKEN"}]}, "name"),
    ],
)
def test_a_file_that_is_broken_is_said_to_be(tmp_path: Path, body: Any, says: str) -> None:
    file = tmp_path / "tokens.json"
    file.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    with pytest.raises(BadTokens, match=says):
        tokens.read(file)
    before = file.read_bytes()
    with pytest.raises(BadTokens):
        make(file)
    assert file.read_bytes() == before


def test_a_file_that_is_a_folder_is_said_to_be_unreadable(tmp_path: Path) -> None:
    with pytest.raises(BadTokens, match="cannot be read"):
        tokens.read(tmp_path)


def test_a_change_leaves_the_file_to_those_who_may_read_it(file: Path) -> None:
    make(file)
    file.chmod(0o640)
    make(file, "another")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
